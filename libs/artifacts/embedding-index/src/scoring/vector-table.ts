import { InvalidInputError } from '@online-cnclip/foundation';
import { MAX_DIMENSION } from '../limits.ts';
import { rowsPerBlock, strideOf } from './dot-products.ts';
import { normalizeInto } from './normalize.ts';

/** Growth at a time. The system gives the pages as they are touched, so a small table stays small. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** Rows that follow one another in memory. */
export interface RowBlock {
  readonly firstRow: number;
  readonly count: number;
  /** float32 `[count, stride]`, a view. */
  readonly rows: Float32Array;
}

/** Vectors of unit length by row number, in chunks: growing never copies what is there. */
export class VectorTable {
  readonly dimension: number;
  /** Numbers from one row to the next, see {@link strideOf}. */
  readonly stride: number;
  readonly #chunkRows: number;
  readonly #chunks: Float32Array[] = [];
  #size = 0;

  /** @throws InvalidInputError when the dimension is no positive whole number up to MAX_DIMENSION. */
  constructor(dimension: number) {
    requireDimension(dimension);
    this.dimension = dimension;
    this.stride = strideOf(dimension);
    const block = rowsPerBlock(this.stride);
    this.#chunkRows = block * Math.max(1, Math.floor(CHUNK_BYTES / (block * this.stride * 4)));
  }

  /** Number of rows. */
  get size(): number {
    return this.#size;
  }

  /**
   * Normalises a vector into a new row.
   *
   * @returns the row's number.
   * @throws InvalidInputError when the vector cannot be normalised or has another dimension.
   */
  append(vector: Float32Array, place: string): number {
    if (this.#size === this.#chunks.length * this.#chunkRows)
      this.#chunks.push(new Float32Array(this.#chunkRows * this.stride));
    this.#write(this.#size, vector, place);
    return this.#size++;
  }

  /** Normalises a vector into a row that is there. */
  replace(row: number, vector: Float32Array, place: string): void {
    this.#write(row, vector, place);
  }

  /** A view of one row's numbers. */
  row(row: number): Float32Array {
    const { chunk, offset } = this.#locate(row);
    return chunk.subarray(offset, offset + this.dimension);
  }

  /** Copies a row over another. */
  move(from: number, to: number): void {
    this.row(to).set(this.row(from));
  }

  /** Forgets the rows from `size` on. */
  truncate(size: number): void {
    this.#size = size;
    this.#chunks.length = Math.ceil(size / this.#chunkRows);
  }

  /** All rows in blocks of the size that is scored at a time. */
  *blocks(): Generator<RowBlock, void, void> {
    const block = rowsPerBlock(this.stride);
    for (let firstRow = 0; firstRow < this.#size; firstRow += block) {
      const count = Math.min(block, this.#size - firstRow);
      const { chunk, offset } = this.#locate(firstRow);
      yield { firstRow, count, rows: chunk.subarray(offset, offset + count * this.stride) };
    }
  }

  #write(row: number, vector: Float32Array, place: string): void {
    const { chunk, offset } = this.#locate(row);
    normalizeInto(chunk, offset, vector, place, this.dimension);
  }

  #locate(row: number): { readonly chunk: Float32Array; readonly offset: number } {
    const chunk = this.#chunks[Math.floor(row / this.#chunkRows)];
    if (chunk === undefined) throw new RangeError(`no row ${row}`);
    return { chunk, offset: (row % this.#chunkRows) * this.stride };
  }
}

/** @throws InvalidInputError when it is no whole number from 1 to MAX_DIMENSION. */
export function requireDimension(dimension: number): void {
  if (Number.isInteger(dimension) && dimension >= 1 && dimension <= MAX_DIMENSION) return;
  throw new InvalidInputError(`${dimension} is not a whole number from 1 to ${MAX_DIMENSION}`, {
    place: 'dimension',
  });
}
