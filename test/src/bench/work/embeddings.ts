/** Vectors per cluster, of a gallery whose items come in kinds; and for one without kinds, which is harder for a graph. */
const CLUSTER_SIZES = { clustered: 100, spread: 1 } as const;
export type Distribution = keyof typeof CLUSTER_SIZES;

/** Directions in which embeddings differ much; of CLIP's 512 a few dozen carry most of the variance. */
const LATENT_DIMENSION = 64;

/** Within a cluster, as a share of the distance between clusters; and in every direction, so that no two are alike. */
const SPREAD = 0.6;
const NOISE = 0.5;

/**
 * Vectors that lie as embeddings do: mostly in a few dozen directions, and around cluster centers. The same for the same seed. After
 * `count` of them the clusters come again.
 *
 * @returns a source of vectors of length 1.
 */
export function embeddings(
  { count, distribution }: { readonly count: number; readonly distribution: Distribution },
  dimension: number,
  seed: number,
): () => Float32Array {
  const normal = normalNumbers(seed);
  const draw = (length: number, scale: number): Float32Array =>
    Float32Array.from({ length }, () => normal() * scale);
  const centers = Array.from({ length: Math.ceil(count / CLUSTER_SIZES[distribution]) }, () =>
    draw(LATENT_DIMENSION, 1),
  );
  const directions = Array.from({ length: LATENT_DIMENSION }, () =>
    draw(dimension, 1 / Math.sqrt(LATENT_DIMENSION)),
  );
  let next = 0;
  return () => {
    const center = centers[next++ % centers.length] as Float32Array;
    const vector = draw(dimension, NOISE);
    for (const [index, direction] of directions.entries()) {
      const amount = (center[index] as number) + SPREAD * normal();
      for (let i = 0; i < dimension; i++)
        vector[i] = (vector[i] as number) + amount * (direction[i] as number);
    }
    const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    return vector.map((value) => value / length);
  };
}

/** Box and Muller's two at a time, from mulberry32. */
function normalNumbers(seed: number): () => number {
  let state = seed;
  let spare: number | undefined;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
