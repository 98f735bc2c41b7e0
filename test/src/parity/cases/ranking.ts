import type { ParitySuite } from '../case.ts';

export const ranking: ParitySuite = async function* () {
  throw new Error('pending');
};
