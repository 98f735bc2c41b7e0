import { normalize, requireTopK } from '@online-cnclip/embedding-index';
import type { Filter } from '../indexes/filter.ts';
import type { SearchHits, VectorIndex } from '../indexes/vector-index.ts';
import { type Content, type EmbeddedContents, embedContents, outcomeOf } from './embed.ts';
import { requireComparable } from './embedding-space.ts';
import type { EncodeOptions, Outcome, QueryEncoder } from './query-encoder.ts';

export interface SearchOptions extends EncodeOptions {
  /** Items wanted per query, 1 to MAX_TOP_K. */
  readonly topK: number;
  readonly filter?: Filter | undefined;
  /** Of the model that computed the queries which are vectors; absent: not checked. */
  readonly vectorFingerprint?: string | undefined;
}

/**
 * The nearest items of each query. A query that cannot be embedded fails alone.
 *
 * @throws InvalidInputError for topK; FailedPreconditionError when a query's model is not the index's; what the
 *   encoder throws for a whole batch; the signal's reason.
 */
export async function searchContents(
  index: VectorIndex,
  queries: readonly Content[],
  encoder: QueryEncoder,
  options: SearchOptions,
): Promise<Outcome<SearchHits>[]> {
  const { topK, filter, signal, vectorFingerprint } = options;
  requireTopK(topK, 'top_k');
  requireComparable(index, vectorFingerprint);
  const embedded = await embedContents(queries, encoder, options);
  requireComparable(index, embedded.fingerprint);
  const vectors = normalizeEach(embedded, index.dimension, (position) => `queries[${position}]`);
  const good = vectors.flatMap((vector) => (vector.ok ? [vector.value] : []));
  const hits = await index.search(joinVectors(good, index.dimension), { topK, filter, signal });
  let next = 0;
  return vectors.map((vector) => (vector.ok ? { ok: true, value: hits[next++] as SearchHits } : vector));
}

/** Vectors of length 1, one per content; what cannot be one fails alone. */
export function normalizeEach(
  { vectors }: EmbeddedContents,
  dimension: number,
  place: (position: number) => string,
): Outcome<Float32Array>[] {
  return vectors.map((vector, position) =>
    vector.ok ? outcomeOf(() => normalize(vector.value, place(position), dimension)) : vector,
  );
}

/** float32 `[vectors, dimension]`. */
export function joinVectors(vectors: readonly Float32Array[], dimension: number): Float32Array {
  const joined = new Float32Array(vectors.length * dimension);
  for (const [i, vector] of vectors.entries()) joined.set(vector, i * dimension);
  return joined;
}
