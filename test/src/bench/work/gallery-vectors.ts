import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';

/** Shape of a CLIP gallery: all vectors lean one way, and they lie in clusters. */
const CLUSTERS = 2_000;
const COMMON_SHARE = 0.6;
const CLUSTER_SHARE = 0.6;
const NOISE_SHARE = 0.5;

/** Normal numbers that are drawn once and used again from random places on: 512 million of them would take a minute. */
const POOL_NUMBERS = 2 ** 22;

export interface GalleryVectors {
  /** float32 `[count, dimension]`, each of length 1; the next ones with each call. */
  next(count: number): Float32Array;
}

/** The same vectors for the same seed. */
export function galleryVectors(dimension: number, seed: number): GalleryVectors {
  const random = mersenne(seed);
  const uniform = () => uniformFloat64(random);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const pool = Float32Array.from({ length: POOL_NUMBERS }, normal);
  const slice = () => {
    const start = Math.floor(uniform() * (POOL_NUMBERS - dimension));
    return pool.subarray(start, start + dimension);
  };
  const common = slice();
  const clusters = Array.from({ length: CLUSTERS }, slice);
  return {
    next(count) {
      const vectors = new Float32Array(count * dimension);
      for (let at = 0; at < vectors.length; at += dimension) {
        const cluster = clusters[Math.floor(uniform() * CLUSTERS)] as Float32Array;
        const noise = slice();
        let squares = 0;
        for (let d = 0; d < dimension; d++) {
          const value =
            COMMON_SHARE * (common[d] as number) +
            CLUSTER_SHARE * (cluster[d] as number) +
            NOISE_SHARE * (noise[d] as number);
          vectors[at + d] = value;
          squares += value * value;
        }
        const length = Math.sqrt(squares);
        for (let d = 0; d < dimension; d++) vectors[at + d] = (vectors[at + d] as number) / length;
      }
      return vectors;
    },
  };
}
