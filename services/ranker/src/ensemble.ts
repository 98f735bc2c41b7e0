import { DEFAULT_TOP_K, fromVector } from '@online-cnclip/contracts';
import type {
  EnsembleRequest,
  Ranking,
  WeightedMatrix as WeightedMatrixMessage,
} from '@online-cnclip/contracts/ranker/v1';
import { type NpyReader, openNpy, requireTopK } from '@online-cnclip/embedding-index';
import { type DataFolder, InvalidInputError, ResourceExhaustedError } from '@online-cnclip/foundation';
import {
  combineScores,
  commonShape,
  matrixOf,
  matrixOfNpy,
  rankRows,
  type ScoreMatrix,
  type WeightedMatrix,
} from '@online-cnclip/retrieval';

/** Each may be an open file. The published ensemble has eight. */
export const MAX_MATRICES = 64;

/** Rows times top_k of one response: with ids of ten bytes it stays below the limit of a message. */
export const MAX_ENSEMBLE_ITEMS = 4_000_000;

/** The rankings of a request; its files are read in blocks and closed whatever happens. */
export async function rankEnsemble(
  { matrices, queryIds, itemIds, topK: requestedTopK }: EnsembleRequest,
  folder: DataFolder,
  signal: AbortSignal,
): Promise<Ranking[]> {
  const topK = requestedTopK || DEFAULT_TOP_K;
  requireTopK(topK, 'top_k');
  if (matrices.length > MAX_MATRICES)
    throw new ResourceExhaustedError(`${matrices.length} are more than ${MAX_MATRICES}`, {
      place: 'matrices',
    });
  const files: NpyReader[] = [];
  try {
    const weighted: WeightedMatrix[] = [];
    for (const [position, message] of matrices.entries()) {
      const matrix = await matrixOfMessage(message, `matrices[${position}]`, folder, files);
      weighted.push({ matrix, weight: message.weight });
    }
    const [rows, columns] = commonShape(weighted);
    requireIds(queryIds, rows, 'query_ids');
    requireIds(itemIds, columns, 'item_ids');
    requireRoom(rows, Math.min(topK, columns));
    const rankings: Ranking[] = [];
    for await (const block of combineScores(weighted, { signal }))
      for (const { row, columns: best, scores } of rankRows(block, topK))
        rankings.push({
          queryId: idOf(queryIds, row),
          itemIds: best.map((column) => idOf(itemIds, column)),
          scores: Array.from(scores),
        });
    return rankings;
  } finally {
    for (const file of files) await file.close();
  }
}

async function matrixOfMessage(
  { source }: WeightedMatrixMessage,
  place: string,
  folder: DataFolder,
  files: NpyReader[],
): Promise<ScoreMatrix> {
  switch (source?.$case) {
    case 'path': {
      // Named in errors as the caller named it: where the data folder lies is nobody's business.
      const file = await openNpy(await folder.existing(source.value, `${place}.path`), source.value);
      files.push(file);
      return matrixOfNpy(file);
    }
    case 'scores': {
      const { rows, columns, values } = source.value;
      if (!values) throw new InvalidInputError('has no values', { place: `${place}.scores` });
      return matrixOf(place, rows, columns, fromVector(values, `${place}.scores.values`));
    }
    default:
      throw new InvalidInputError('is empty', { place: `${place}.source` });
  }
}

/** No ids mean the numbers of rows or columns. */
const idOf = (ids: readonly bigint[], position: number): bigint =>
  ids.length === 0 ? BigInt(position) : (ids[position] as bigint);

function requireIds(ids: readonly bigint[], count: number, place: string): void {
  if (ids.length !== 0 && ids.length !== count)
    throw new InvalidInputError(`${ids.length} ids where the matrices have ${count}`, { place });
}

function requireRoom(rows: number, items: number): void {
  if (rows * items > MAX_ENSEMBLE_ITEMS)
    throw new ResourceExhaustedError(
      `${rows} queries times ${items} items are over ${MAX_ENSEMBLE_ITEMS} in one response: ask for fewer items, or use cnclip predict`,
      { place: 'top_k' },
    );
}
