import type { NdArray } from '@online-cnclip/foundation';
import { sizeOf } from '@online-cnclip/foundation';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** A probability is drawn in steps of 1 / 65536: two draws from each 32-bit number. */
const DRAW_RANGE = 2 ** 16;

/** Masks for the dropout of one step: the same seed and step give the same masks. */
export function dropoutMask(
  shape: readonly number[],
  rate: number,
  seed: number,
  step: number,
  site: number,
): NdArray<'bool'> {
  const random = xoroshiro128plus(mixSeed(seed, step, site));
  const threshold = Math.round(rate * DRAW_RANGE);
  const data = new Uint8Array(sizeOf(shape));
  for (let i = 0; i < data.length; i += 2) {
    const bits = random.next();
    data[i] = (bits & 0xffff) >= threshold ? 1 : 0;
    if (i + 1 < data.length) data[i + 1] = bits >>> 16 >= threshold ? 1 : 0;
  }
  return { dtype: 'bool', shape, data };
}

/** One 32-bit seed out of three numbers (the finalizer of MurmurHash3 after each). */
function mixSeed(...parts: readonly number[]): number {
  let hash = 0;
  for (const part of parts) {
    hash = Math.imul(hash ^ part, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash | 0;
}
