import {
  EventLoopTurns,
  MAX_QUERIES_PER_PASS,
  packQueries,
  readFeatureIds,
  readFeatures,
  requireTopK,
  scoreTable,
  TopK,
  VectorTable,
  writeNpyRows,
} from '@online-cnclip/embedding-index';
import { InvalidInputError, throwIfAborted } from '@online-cnclip/foundation';
import { type PredictionSink, writePredictions } from './prediction-file.ts';

/** Items per query that the research code predicts and the evaluation wants. */
export const DEFAULT_TOP_K = 10;

export interface SinglePredictionOptions {
  /** Lines of `{"image_id", "feature"}`: the gallery. */
  readonly imageFeatures: string;
  /** Lines of `{"text_id", "feature"}`: the queries. */
  readonly textFeatures: string;
  readonly predictions: string;
  /** Where all scores go, float32 `[queries, gallery]`; absent: nowhere. */
  readonly scoreMatrix?: string | undefined;
  readonly topK?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of queries ranked so far and of all. */
  readonly onProgress?: ((ranked: number, queries: number) => void) | undefined;
}

export interface PredictionSummary {
  readonly queries: number;
  readonly gallery: number;
}

/**
 * Ranks the whole gallery for each query by cosine, as make_topk_predictions.py does. Holds the gallery in memory and the
 * scores of one pass of queries. Of equal scores the image that comes first in its file counts as better.
 *
 * @throws InvalidInputError naming the line of a feature that is no good, NotFoundError for a missing file, the
 *   signal's reason. Files that were there are then as they were.
 */
export async function predictSingle(options: SinglePredictionOptions): Promise<PredictionSummary> {
  const { predictions, scoreMatrix, topK = DEFAULT_TOP_K } = options;
  requireTopK(topK);
  const gallery = await readGallery(options);
  const queryIds = await readFeatureIds(options.textFeatures, 'text_id');
  if (queryIds.length === 0) throw new InvalidInputError('holds no feature', { place: options.textFeatures });
  await writePredictions(predictions, async (sink) => {
    const parts = rankQueries(options, gallery, queryIds.length, topK, sink);
    if (scoreMatrix !== undefined)
      await writeNpyRows(scoreMatrix, [queryIds.length, gallery.ids.length], parts);
    else for await (const _ of parts);
  });
  return { queries: queryIds.length, gallery: gallery.ids.length };
}

interface Gallery {
  readonly ids: readonly bigint[];
  readonly table: VectorTable;
}

async function readGallery({ imageFeatures, signal }: SinglePredictionOptions): Promise<Gallery> {
  const ids: bigint[] = [];
  let table: VectorTable | undefined;
  for await (const { id, feature } of readFeatures(imageFeatures, 'image_id')) {
    throwIfAborted(signal);
    table ??= new VectorTable(feature.length);
    table.append(feature, `${imageFeatures}: image_id ${id}`);
    ids.push(id);
  }
  if (!table) throw new InvalidInputError('holds no feature', { place: imageFeatures });
  return { ids, table };
}

/** Hands the predictions of each pass to the sink and yields its scores, `[queries of the pass, gallery]`. */
async function* rankQueries(
  { textFeatures, signal, onProgress }: SinglePredictionOptions,
  { ids, table }: Gallery,
  queries: number,
  topK: number,
  sink: PredictionSink,
): AsyncGenerator<Float32Array, void, void> {
  const turns = new EventLoopTurns(signal);
  let ranked = 0;
  for await (const pass of batches(readFeatures(textFeatures, 'text_id'))) {
    throwIfAborted(signal);
    const place = (index: number) => `${textFeatures}: text_id ${pass[index]?.id}`;
    const scores = await scoreMatrixOf(
      table,
      pass.map(({ feature }) => feature),
      place,
      turns,
    );
    await sink(
      pass.map(({ id: queryId }, index) => {
        const top = new TopK(topK);
        top.offer(scores, index * table.size, table.size, 0);
        return { queryId, itemIds: top.take().rows.map((row) => ids[row] as bigint) };
      }),
    );
    yield scores;
    ranked += pass.length;
    onProgress?.(ranked, queries);
  }
}

async function scoreMatrixOf(
  table: VectorTable,
  queries: readonly Float32Array[],
  place: (index: number) => string,
  turns: EventLoopTurns,
): Promise<Float32Array> {
  const matrix = new Float32Array(queries.length * table.size);
  const packed = packQueries(table, queries, place);
  await scoreTable(
    table,
    packed,
    ({ firstRow, count }, { scores, stride }) => {
      for (let query = 0; query < queries.length; query++)
        matrix.set(scores.subarray(query * stride, query * stride + count), query * table.size + firstRow);
    },
    turns,
  );
  return matrix;
}

/** Slices of a stream as long as one pass takes. */
async function* batches<T>(items: AsyncIterable<T>): AsyncGenerator<T[], void, void> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < MAX_QUERIES_PER_PASS) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
