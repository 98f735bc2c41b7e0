import { errorOfItem } from '@online-cnclip/contracts';
import { type Vector, VectorFormat } from '@online-cnclip/contracts/common/v1';
import type { EncodeRequest } from '@online-cnclip/contracts/encoder/v1';
import {
  CreateIndexRequest,
  type Ranking,
  RankingSource,
  SearchRequest,
  type UpsertItemsRequest,
} from '@online-cnclip/contracts/ranker/v1';
import { AbortedError, AlreadyExistsError, DataLossError } from '@online-cnclip/foundation';
import type { Gallery, GalleryQuery, Trial } from '../galleries.ts';
import type { RecallReport } from '../report.ts';
import type { JobContext } from './context.ts';

/** Items per message of a stream, and queries per call; below every limit of the contracts. */
const BATCH_ITEMS = 128;
/** What recall@10 needs. */
const TOP_K = 10;

/** The vector of every picture by its item's id. */
export interface EncodedGallery {
  readonly vectors: ReadonlyMap<bigint, Vector>;
  /** Of the model that computed all of them. */
  readonly modelFingerprint: string;
}

/** Has the encoder embed a gallery, over one bidirectional stream. */
export async function encodeGallery(context: JobContext, { index, items }: Gallery): Promise<EncodedGallery> {
  const { clients, progress, signal } = context;
  const task = progress.start('encode', items.length);
  function* requests(): Generator<EncodeRequest> {
    for (const { id, picture } of items)
      yield {
        itemId: BigInt(id),
        item: { $case: 'image', value: picture },
        vectorFormat: VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN,
      };
  }
  const vectors = new Map<bigint, Vector>();
  const fingerprints = new Set<string>();
  for await (const { itemId, embedding, modelFingerprint } of clients.encoder.encode(requests(), {
    signal,
  })) {
    const error = errorOfItem(embedding?.status);
    if (error) throw error;
    if (!embedding?.vector) throw new DataLossError('has no vector', { place: `item ${itemId}` });
    vectors.set(itemId, embedding.vector);
    fingerprints.add(modelFingerprint);
    task.update(vectors.size);
  }
  if (vectors.size !== items.length)
    throw new DataLossError(`${vectors.size} of ${items.length} pictures were encoded`, { place: index });
  const [modelFingerprint = '', another] = fingerprints;
  if (another !== undefined)
    throw new AbortedError(`the model was swapped from ${modelFingerprint} to ${another}`, { place: index });
  task.finish(`${items.length} pictures of ${index}`);
  return { vectors, modelFingerprint };
}

/** Fills an index of the gallery's name, in place of the one of an earlier run. */
export async function fillIndex(
  { clients, signal }: JobContext,
  name: string,
  { vectors, modelFingerprint }: EncodedGallery,
): Promise<void> {
  const { ranker } = clients;
  const request = CreateIndexRequest.fromPartial({ name });
  await ranker.createIndex(request, { signal }).catch(async (error: unknown) => {
    if (!(error instanceof AlreadyExistsError)) throw error;
    await ranker.dropIndex({ name }, { signal });
    await ranker.createIndex(request, { signal });
  });
  function* requests(): Generator<UpsertItemsRequest> {
    for (const batch of batches([...vectors]))
      yield {
        index: name,
        items: batch.map(([id, value]) => ({ id, content: { $case: 'vector', value }, attributes: {} })),
        modelFingerprint,
      };
  }
  const { upserted, failures } = await ranker.upsertItems(requests(), { signal });
  const error = errorOfItem(failures[0]?.status);
  if (error) throw error;
  if (upserted !== BigInt(vectors.size))
    throw new DataLossError(`took ${upserted} of ${vectors.size} items`, { place: `index ${name}` });
}

/** Searches the trial's index with its queries and has the ranker score the answers. */
export async function rankTrial(context: JobContext, { gallery, queries }: Trial): Promise<RecallReport> {
  const size = gallery.items.length;
  if (queries.length === 0)
    return { r1: null, r5: null, r10: null, mean_recall: null, queries: 0, gallery: size };
  const { clients, signal } = context;
  const predictions = await search(context, gallery.index, queries);
  const reference = queries.map(({ id, itemId }) => ranking(id, [BigInt(itemId)]));
  const { metrics } = await clients.ranker.evaluate(
    { reference: inline(reference), predictions: inline(predictions) },
    { signal },
  );
  if (!metrics) throw new DataLossError('no metrics', { place: 'ranker.Evaluate' });
  return {
    r1: roundPercent(metrics.recallAt1),
    r5: roundPercent(metrics.recallAt5),
    r10: roundPercent(metrics.recallAt10),
    mean_recall: roundPercent(metrics.meanRecall),
    queries: Number(metrics.queries),
    gallery: size,
  };
}

async function search(
  { clients, progress, signal }: JobContext,
  index: string,
  queries: readonly GalleryQuery[],
): Promise<Ranking[]> {
  const task = progress.start('rank', queries.length);
  const rankings: Ranking[] = [];
  for (const batch of batches(queries)) {
    const request = SearchRequest.fromPartial({
      index,
      queries: batch.map(({ text }) => ({ query: { $case: 'text' as const, value: text } })),
      topK: TOP_K,
    });
    const { results } = await clients.ranker.search(request, { signal });
    for (const [i, { status, ids }] of results.entries()) {
      const error = errorOfItem(status);
      if (error) throw error;
      rankings.push(ranking(batch[i]?.id ?? -1, ids));
    }
    task.update(rankings.length);
  }
  task.finish(`${queries.length} queries in ${index}`);
  return rankings;
}

function batches<T>(items: readonly T[]): T[][] {
  const count = Math.ceil(items.length / BATCH_ITEMS);
  return Array.from({ length: count }, (_, i) => items.slice(i * BATCH_ITEMS, (i + 1) * BATCH_ITEMS));
}

const ranking = (queryId: number, itemIds: bigint[]): Ranking => ({
  queryId: BigInt(queryId),
  itemIds,
  scores: [],
});

const inline = (rankings: Ranking[]): RankingSource =>
  RankingSource.fromPartial({ source: { $case: 'rankings', value: { rankings } } });

export const roundPercent = (percent: number): number => Math.round(percent * 100) / 100;
