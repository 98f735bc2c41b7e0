/** mulberry32: numbers from 0 to below 1, the same for the same seed. */
export function uniformNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Points around centers, of unit length, as embeddings lie; the same for the same seed. */
export function clusteredPoints(
  dimension: number,
  clusters: number,
  seed: number,
): () => Float32Array<ArrayBuffer> {
  const uniform = uniformNumbers(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const centers = Array.from({ length: clusters }, () => Float32Array.from({ length: dimension }, normal));
  return () => {
    const center = centers[Math.floor(uniform() * clusters)] as Float32Array;
    const point = Float32Array.from(center, (value) => value + 0.7 * normal());
    const length = Math.hypot(...point);
    return point.map((value) => value / length);
  };
}

/** The ids of the points nearest to a query, best first, by comparing it with each. */
export function nearest(
  points: ReadonlyMap<bigint, Float32Array>,
  query: Float32Array,
  count: number,
): bigint[] {
  const scored = Array.from(points, ([id, point]) => ({
    id,
    score: point.reduce((sum, value, index) => sum + value * (query[index] as number), 0),
  }));
  return scored
    .sort((a, b) => b.score - a.score)
    .slice(0, count)
    .map(({ id }) => id);
}
