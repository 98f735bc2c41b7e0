/** What one caller looks for. */
export interface GraphQueries {
  /** Of unit length, each of the graph's dimension. */
  readonly queries: readonly Float32Array[];
  /** Neighbours per query. */
  readonly wanted: number;
}

/** The ids nearest to one query, best first. */
export type Neighbors = BigInt64Array;

/** Queries of several callers in one array; the most that anyone wants is looked for. */
export function packSearches(
  searches: readonly GraphQueries[],
  dimension: number,
): { readonly queries: Float32Array<ArrayBuffer>; readonly wanted: number } {
  const all = searches.flatMap(({ queries }) => queries);
  const packed = new Float32Array(all.length * dimension);
  for (const [index, query] of all.entries()) packed.set(query, index * dimension);
  return { queries: packed, wanted: Math.max(...searches.map(({ wanted }) => wanted)) };
}

/** Gives each caller of {@link packSearches} what it looked for. */
export function splitNeighbors(
  searches: readonly GraphQueries[],
  {
    ids,
    counts,
    wanted,
  }: { readonly ids: BigInt64Array; readonly counts: Uint32Array; readonly wanted: number },
): Neighbors[][] {
  let row = 0;
  return searches.map((search) =>
    search.queries.map(() => {
      // With one query usearch leaves nothing empty between the rows, with several each row has `wanted` places.
      const from = row * wanted;
      const found = Math.min(counts[row] ?? 0, search.wanted);
      row++;
      return ids.slice(from, from + found);
    }),
  );
}
