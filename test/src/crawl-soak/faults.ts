import type { Fault, FaultRule } from '@online-cnclip/fixture-shop';

/** What goes wrong once and then goes well: all faults but those that are an answer (a page without results). */
const FAULTS: readonly Fault[] = [
  'rate-limited',
  'unavailable',
  'server-error',
  'challenge',
  'challenge-overlay',
  'logged-out',
  'hang',
  'reset',
  'crash',
  'changed-markup',
  'duplicate-images',
  'unresolvable-images',
  'html-image',
  'truncated-image',
  'bomb-image',
  'drip-image',
  'reset-image',
  'redirect-image',
  'missing-image',
];

/** @param rate share of the queries that one of them hits. */
export const faultRules = (rate: number): Partial<FaultRule>[] =>
  FAULTS.map((fault) => ({ fault, rate: rate / FAULTS.length, times: 1 }));
