import { normalize } from './scoring/normalize.ts';

/** Vectors of standard normal numbers; the same for the same seed. */
export function randomVectors(count: number, dimension: number, seed: number): Float32Array[] {
  // mulberry32
  let state = seed;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Array.from({ length: count }, () => Float32Array.from({ length: dimension }, normal));
}

/** The same directions at length 1, one after another. @returns float32 `[count, dimension]`. */
export function joinedUnitVectors(count: number, dimension: number, seed: number): Float32Array<ArrayBuffer> {
  const joined = new Float32Array(count * dimension);
  for (const [i, vector] of randomVectors(count, dimension, seed).entries())
    joined.set(normalize(vector, `vector ${i}`), i * dimension);
  return joined;
}
