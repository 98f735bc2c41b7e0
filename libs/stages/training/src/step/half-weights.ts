import { isHalfWeight } from '@online-cnclip/network';
import type { Arena } from './arena.ts';

/** Rounds the weights of matrix products and convolutions to what half precision holds. */
export async function roundToHalf(parameters: Arena): Promise<void> {
  const names = [...parameters.tensors.keys()].filter(isHalfWeight);
  for (const [name, { data }] of await parameters.read(names))
    if (names.includes(name)) parameters.write(name, data.map(Math.f16round));
}
