import { type EmbeddingIndex, normalize, requireTopK, type SearchHits } from '@online-cnclip/embedding-index';
import { type Content, type EmbeddedContents, embedContents, outcomeOf } from './embed.ts';
import type { EncodeOptions, Outcome, QueryEncoder } from './query-encoder.ts';

/**
 * The nearest items of each query. A query that cannot be embedded fails alone.
 *
 * @throws InvalidInputError for topK; FailedPreconditionError when the encoder's model is not the index's; what the
 *   encoder throws for a whole batch; the signal's reason.
 */
export async function searchContents(
  index: EmbeddingIndex,
  queries: readonly Content[],
  topK: number,
  encoder: QueryEncoder,
  options: EncodeOptions = {},
): Promise<Outcome<SearchHits>[]> {
  requireTopK(topK, 'top_k');
  const embedded = await embedContents(queries, encoder, options);
  const vectors = normalizeEach(embedded, index.dimension, (position) => `queries[${position}]`);
  const good = vectors.flatMap((vector) => (vector.ok ? [vector.value] : []));
  const { fingerprint } = embedded;
  const hits = await index.search(good, topK, { signal: options.signal, fingerprint });
  let next = 0;
  return vectors.map((vector) => (vector.ok ? { ok: true, value: hits[next++] as SearchHits } : vector));
}

/** An item to be found. */
export interface IndexItem {
  readonly id: bigint;
  readonly content: Content;
}

/**
 * Adds items to an index, or replaces those whose id is there. An item that cannot be embedded is refused alone.
 *
 * @returns what became of each, in order.
 * @throws FailedPreconditionError when the encoder's model is not the index's, ResourceExhaustedError when the index is
 *   full, what the encoder throws for a whole batch. Nothing was added then.
 */
export async function upsertContents(
  index: EmbeddingIndex,
  items: readonly IndexItem[],
  encoder: QueryEncoder,
  options: EncodeOptions = {},
): Promise<Outcome<bigint>[]> {
  const contents = items.map(({ content }) => content);
  const embedded = await embedContents(contents, encoder, options);
  const vectors = normalizeEach(embedded, index.dimension, (position) => `item ${items[position]?.id}`);
  const ids: bigint[] = [];
  const good: Float32Array[] = [];
  const outcomes = vectors.map((vector, position): Outcome<bigint> => {
    if (!vector.ok) return vector;
    const { id } = items[position] as IndexItem;
    ids.push(id);
    good.push(vector.value);
    return { ok: true, value: id };
  });
  await index.upsert(ids, good, { fingerprint: embedded.fingerprint });
  return outcomes;
}

function normalizeEach(
  { vectors }: EmbeddedContents,
  dimension: number,
  place: (position: number) => string,
): Outcome<Float32Array>[] {
  return vectors.map((vector, position) =>
    vector.ok ? outcomeOf(() => normalize(vector.value, place(position), dimension)) : vector,
  );
}
