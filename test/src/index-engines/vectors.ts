import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Random directions, the same for a seed. @returns float32 `[count, dimension]`, each of length 1. */
export function unitVectors(count: number, dimension: number, seed: number): Float32Array {
  const random = xoroshiro128plus(seed);
  const vectors = new Float32Array(count * dimension);
  for (let start = 0; start < vectors.length; start += dimension) {
    const vector = vectors.subarray(start, start + dimension);
    for (let i = 0; i < dimension; i++) vector[i] = random.next() / 2 ** 31;
    const length = Math.hypot(...vector);
    for (let i = 0; i < dimension; i++) vector[i] = (vector[i] as number) / length;
  }
  return vectors;
}
