import { type Attributes, requireAttributes } from '../indexes/filter.ts';
import type { VectorIndex } from '../indexes/vector-index.ts';
import { type Content, embedContents, outcomeOf } from './embed.ts';
import { requireSameSpace } from './embedding-space.ts';
import type { EncodeOptions, Outcome, QueryEncoder } from './query-encoder.ts';
import { joinVectors, normalizeEach } from './search.ts';

/** An item to be found. */
export interface IndexItem {
  readonly id: bigint;
  readonly content: Content;
  readonly attributes?: Attributes | undefined;
}

export interface UpsertOptions extends EncodeOptions {
  /** Of the model that computed the items' vectors; absent when that is not known. */
  readonly vectorFingerprint?: string | undefined;
}

/**
 * Adds items to an index, or replaces those whose id is there; of two with one id the later counts. An item that is no
 * good is refused alone.
 *
 * @returns what became of each, in order; those added are durable.
 * @throws FailedPreconditionError when the items are not of the index's model, ResourceExhaustedError when the index is
 *   full, what the encoder throws for a whole batch. Nothing was added then.
 */
export async function upsertContents(
  index: VectorIndex,
  items: readonly IndexItem[],
  encoder: QueryEncoder,
  options: UpsertOptions = {},
): Promise<Outcome<bigint>[]> {
  const contents = items.map(({ content }) => content);
  if (contents.some(({ kind }) => kind === 'vector')) requireSameSpace(index, options.vectorFingerprint);
  const embedded = await embedContents(contents, encoder, options);
  if (embedded.fingerprint !== undefined) requireSameSpace(index, embedded.fingerprint);
  const vectors = normalizeEach(embedded, index.dimension, (position) => `item ${items[position]?.id}`);
  const good = new Map<bigint, { readonly vector: Float32Array; readonly attributes: Attributes }>();
  const outcomes = items.map(({ id, attributes = {} }, position): Outcome<bigint> => {
    const vector = vectors[position] as Outcome<Float32Array>;
    if (!vector.ok) return vector;
    const checked = outcomeOf(() => requireAttributes(attributes, `item ${id}`));
    if (!checked.ok) return checked;
    good.set(id, { vector: vector.value, attributes });
    return { ok: true, value: id };
  });
  const added = [...good.values()];
  await index.upsert({
    ids: BigInt64Array.from(good.keys()),
    vectors: joinVectors(
      added.map(({ vector }) => vector),
      index.dimension,
    ),
    attributes: added.map(({ attributes }) => attributes),
  });
  return outcomes;
}
