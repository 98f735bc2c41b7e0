import { setImmediate } from 'node:timers/promises';
import { requireTopK, TopK } from '@online-cnclip/embedding-index';
import { InvalidInputError, throwIfAborted } from '@online-cnclip/foundation';

/** A score matrix `[rows, columns]` that is read in parts: queries by items. */
export interface ScoreMatrix {
  /** Its file or field, for errors. */
  readonly place: string;
  readonly rows: number;
  readonly columns: number;
  /** float32 `[count, columns]`. */
  readRows(first: number, count: number): Promise<Float32Array>;
}

/** A matrix and what its scores are multiplied by. */
export interface WeightedMatrix {
  readonly matrix: ScoreMatrix;
  readonly weight: number;
}

/** Consecutive rows of the combined scores. */
export interface ScoreRows {
  readonly firstRow: number;
  readonly count: number;
  /** float32 `[count, columns]`. */
  readonly scores: Float32Array;
}

export interface CombineOptions {
  /** What the sums are divided by. The research code divides by the number of models. */
  readonly divisor?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Of each matrix at a time. */
const BLOCK_BYTES = 4 * 1024 * 1024;

/**
 * Adds up matrices with their weights, block by block of rows. In single precision from left to right, as numpy does, so that
 * the sums are its own to the bit.
 *
 * @throws InvalidInputError when there is no matrix, shapes differ, a weight is not finite, or a score is NaN.
 */
export async function* combineScores(
  matrices: readonly WeightedMatrix[],
  { divisor = 1, signal }: CombineOptions = {},
): AsyncGenerator<ScoreRows, void, void> {
  const [rows, columns] = commonShape(matrices);
  const step = Math.max(1, Math.floor(BLOCK_BYTES / Math.max(1, columns * Float32Array.BYTES_PER_ELEMENT)));
  for (let firstRow = 0; firstRow < rows; firstRow += step) {
    // A turn for the event loop: matrices in memory are read without one.
    await setImmediate();
    throwIfAborted(signal);
    const count = Math.min(step, rows - firstRow);
    const scores = new Float32Array(count * columns);
    for (const { matrix, weight } of matrices) {
      const part = await matrix.readRows(firstRow, count);
      addWeighted(scores, part, Math.fround(weight));
      requireNumbers(part, matrix, firstRow);
    }
    if (divisor !== 1) for (let i = 0; i < scores.length; i++) scores[i] = (scores[i] as number) / divisor;
    yield { firstRow, count, scores };
  }
}

/** A query's best items. */
export interface RowRanking {
  /** The query's row. */
  readonly row: number;
  /** Columns of the items, best first; of equal scores the lower column. */
  readonly columns: readonly number[];
  readonly scores: Float32Array;
}

/** The best columns of each row of such a block. */
export function* rankRows({ firstRow, count, scores }: ScoreRows, topK: number): Generator<RowRanking> {
  requireTopK(topK);
  const columns = scores.length / count;
  for (let i = 0; i < count; i++) {
    const top = new TopK(topK);
    top.offer(scores, i * columns, columns, 0);
    const best = top.take();
    yield { row: firstRow + i, columns: best.rows, scores: best.scores };
  }
}

/** A matrix that is in memory. @throws InvalidInputError when the scores do not fill the shape. */
export function matrixOf(place: string, rows: number, columns: number, scores: Float32Array): ScoreMatrix {
  if (rows < 1 || columns < 1 || scores.length !== rows * columns)
    throw new InvalidInputError(`${scores.length} scores do not fill ${rows} rows of ${columns}`, { place });
  return {
    place,
    rows,
    columns,
    readRows: async (first, count) => scores.subarray(first * columns, (first + count) * columns),
  };
}

/** Rows and columns that all matrices have. */
export function commonShape(matrices: readonly WeightedMatrix[]): readonly [rows: number, columns: number] {
  const [first] = matrices;
  if (!first) throw new InvalidInputError('there is no matrix to combine', { place: 'matrices' });
  const { rows, columns, place } = first.matrix;
  for (const { matrix, weight } of matrices) {
    if (!Number.isFinite(weight))
      throw new InvalidInputError(`its weight is ${weight}`, { place: matrix.place });
    if (matrix.rows !== rows || matrix.columns !== columns)
      throw new InvalidInputError(
        `has the shape [${matrix.rows}, ${matrix.columns}] where ${place} has [${rows}, ${columns}]`,
        { place: matrix.place },
      );
  }
  return [rows, columns];
}

/** Rounded to float32 after each operation. */
function addWeighted(sums: Float32Array, part: Float32Array, weight: number): void {
  for (let i = 0; i < sums.length; i++)
    sums[i] = (sums[i] as number) + Math.fround(weight * (part[i] as number));
}

function requireNumbers(part: Float32Array, { place, columns }: ScoreMatrix, firstRow: number): void {
  const at = part.findIndex(Number.isNaN);
  if (at < 0) return;
  const [row, column] = [firstRow + Math.floor(at / columns), at % columns];
  throw new InvalidInputError(`the score in row ${row}, column ${column} is NaN`, { place });
}
