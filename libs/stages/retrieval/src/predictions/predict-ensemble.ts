import { type NpyReader, openNpy, readFeatureIds, writeNpyRows } from '@online-cnclip/embedding-index';
import { InvalidInputError } from '@online-cnclip/foundation';
import { type EnsembleFiles, findMatrices } from './data-folder.ts';
import { combineScores, commonShape, rankRows, type ScoreMatrix, type WeightedMatrix } from './ensemble.ts';
import { DEFAULT_TOP_K, type PredictionSummary } from './predict-single.ts';
import { type PredictionSink, writePredictions } from './prediction-file.ts';

/** Weights of the eight models in the published ensemble; their sum is divided by their number. */
export const DEFAULT_WEIGHTS: readonly number[] = [0.5, 0.5, 0.5, 0.5, 0.5, 1.25, 0.75, 0.7];

export interface EnsembleOptions {
  /** `.npy` files of float32, all of one shape. */
  readonly matrices: readonly string[];
  /** One per matrix; absent: {@link DEFAULT_WEIGHTS}. */
  readonly weights?: readonly number[] | undefined;
  /** One per row. */
  readonly queryIds: readonly bigint[];
  /** One per column. */
  readonly itemIds: readonly bigint[];
  readonly predictions: string;
  /** Where the combined scores go; absent: nowhere. */
  readonly scoreMatrix?: string | undefined;
  readonly topK?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of queries ranked so far and of all. */
  readonly onProgress?: ((ranked: number, queries: number) => void) | undefined;
}

/**
 * Ranks by the weighted mean of several models' scores, as make_topk_predictions_ensemble.py does. Reads the matrices in blocks
 * of rows.
 *
 * @throws InvalidInputError when weights, shapes and ids do not match in number; NotFoundError, DataLossError and
 *   UnsupportedError of a matrix's file. Files that were there are then as they were.
 */
export async function predictEnsemble(options: EnsembleOptions): Promise<PredictionSummary> {
  const { matrices, weights = DEFAULT_WEIGHTS, queryIds, itemIds, predictions, scoreMatrix } = options;
  requireWeights(matrices, weights);
  await withMatrices(matrices, async (opened) => {
    const weighted = opened.map((matrix, index) => ({ matrix, weight: weights[index] as number }));
    const shape = commonShape(weighted);
    requireIds(weighted, queryIds.length, itemIds.length);
    await writePredictions(predictions, async (sink) => {
      const parts = rankBlocks(options, weighted, sink);
      if (scoreMatrix !== undefined) await writeNpyRows(scoreMatrix, shape, parts);
      else for await (const _ of parts);
    });
  });
  return { queries: queryIds.length, gallery: itemIds.length };
}

/** The same on the research code's folders: every `matrix-N.npy`, ids from the feature files. */
export async function predictEnsembleFiles(
  { imageFeatures, textFeatures, matrixFolder, predictions, scoreMatrix }: EnsembleFiles,
  options: Pick<EnsembleOptions, 'weights' | 'topK' | 'signal' | 'onProgress'> = {},
): Promise<PredictionSummary> {
  const matrices = await findMatrices(matrixFolder);
  requireWeights(matrices, options.weights ?? DEFAULT_WEIGHTS);
  const queryIds = await readFeatureIds(textFeatures, 'text_id');
  const itemIds = await readFeatureIds(imageFeatures, 'image_id');
  return predictEnsemble({ ...options, matrices, queryIds, itemIds, predictions, scoreMatrix });
}

/** A .npy file as a score matrix. @throws InvalidInputError when it is no matrix. */
export function matrixOfNpy(reader: NpyReader): ScoreMatrix {
  const [rows, columns] = reader.matrixShape;
  return {
    place: reader.name,
    rows,
    columns,
    readRows: (first, count) => reader.readRows(first, count),
  };
}

async function* rankBlocks(
  { weights = DEFAULT_WEIGHTS, queryIds, itemIds, topK = DEFAULT_TOP_K, signal, onProgress }: EnsembleOptions,
  weighted: readonly WeightedMatrix[],
  sink: PredictionSink,
): AsyncGenerator<Float32Array, void, void> {
  for await (const block of combineScores(weighted, { divisor: weights.length, signal })) {
    await sink(
      Array.from(rankRows(block, topK), ({ row, columns }) => ({
        queryId: queryIds[row] as bigint,
        itemIds: columns.map((column) => itemIds[column] as bigint),
      })),
    );
    yield block.scores;
    onProgress?.(block.firstRow + block.count, queryIds.length);
  }
}

async function withMatrices(
  paths: readonly string[],
  work: (matrices: readonly ScoreMatrix[]) => Promise<void>,
): Promise<void> {
  const readers: NpyReader[] = [];
  try {
    for (const path of paths) readers.push(await openNpy(path));
    await work(readers.map(matrixOfNpy));
  } finally {
    for (const reader of readers) await reader.close();
  }
}

function requireWeights(matrices: readonly string[], weights: readonly number[]): void {
  if (matrices.length === weights.length) return;
  throw new InvalidInputError(
    `${weights.length} weights (${weights.join(', ')}) for ${matrices.length} matrices (${matrices.join(', ')})`,
    { place: 'weights' },
  );
}

function requireIds(weighted: readonly WeightedMatrix[], queryIds: number, itemIds: number): void {
  const [rows, columns] = commonShape(weighted);
  const place = weighted[0]?.matrix.place ?? '';
  if (rows !== queryIds) throw new InvalidInputError(`has ${rows} rows for ${queryIds} query ids`, { place });
  if (columns !== itemIds)
    throw new InvalidInputError(`has ${columns} columns for ${itemIds} item ids`, { place });
}
