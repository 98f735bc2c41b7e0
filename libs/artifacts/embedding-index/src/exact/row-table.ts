import type { Operation } from '../durable/frame.ts';
import type { AttributeFilter, Attributes } from '../port.ts';
import { strideOf } from '../scoring/dot-products.ts';
import { IdTable } from './id-table.ts';
import { type QuantizedBlock, quantize, rowsPerQuantizedBlock } from './quantized-block.ts';

/** Rows that there is room for at first. */
const INITIAL_ROWS = 256;

/** The rows of one moment: what is added or deleted later does not show. */
export interface RowSnapshot {
  readonly blocks: readonly QuantizedBlock[];
  readonly tail: TailRows;
  /** Rows in blocks and tail. */
  readonly rows: number;
  readonly version: number;
}

/** The rows behind the last block, which are few and kept as they are. */
export interface TailRows {
  readonly firstRow: number;
  /** float32 `[rows and room for more, stride]`. */
  readonly values: Float32Array;
}

/**
 * Items in memory by row, in the order they were written. A row never changes: replacing an item lets its row die and adds
 * another, so that a search goes on undisturbed with the rows of its moment.
 */
export class RowTable {
  readonly dimension: number;
  /** Numbers from one tail row to the next. */
  readonly stride: number;
  readonly #rowsPerBlock: number;
  readonly #byId = new IdTable((row) => this.#ids[row] as bigint);
  readonly #blocks: QuantizedBlock[] = [];
  #ids = new BigInt64Array(INITIAL_ROWS);
  /** Version at which a row died; infinite while it lives. */
  #diedAt = new Float64Array(INITIAL_ROWS);
  /** Where in the file its vector is. */
  #offsets = new Float64Array(INITIAL_ROWS);
  readonly #attributes: (Attributes | undefined)[] = [];
  #tail: TailRows = { firstRow: 0, values: new Float32Array(0) };
  #rows = 0;
  #version = 0;

  constructor(dimension: number) {
    this.dimension = dimension;
    this.stride = strideOf(dimension);
    this.#rowsPerBlock = rowsPerQuantizedBlock(dimension);
  }

  /** Living items. */
  get size(): number {
    return this.#byId.size;
  }

  get deadRows(): number {
    return this.#rows - this.size;
  }

  snapshot(): RowSnapshot {
    return { blocks: [...this.#blocks], tail: this.#tail, rows: this.#rows, version: this.#version };
  }

  has(id: bigint): boolean {
    return this.rowOf(id) !== undefined;
  }

  /** The living row of an id. */
  rowOf(id: bigint): number | undefined {
    return this.#byId.get(id);
  }

  /** In the order of their rows. */
  livingIds(): BigInt64Array<ArrayBuffer> {
    const ids = new BigInt64Array(this.size);
    let count = 0;
    for (let row = 0; row < this.#rows; row++)
      if (this.isLiveAt(row, this.#version)) ids[count++] = this.idOf(row);
    return ids;
  }

  idOf(row: number): bigint {
    return this.#ids[row] as bigint;
  }

  offsetOf(row: number): number {
    return this.#offsets[row] as number;
  }

  isLiveAt(row: number, version: number): boolean {
    return (this.#diedAt[row] as number) > version;
  }

  matches(row: number, filter: AttributeFilter): boolean {
    return filter.matches(this.#attributes[row] ?? NO_ATTRIBUTES);
  }

  /** `{}` for a row without any. */
  attributesOf(row: number): Attributes {
    return this.#attributes[row] ?? NO_ATTRIBUTES;
  }

  /** Attributes by id; undefined when the item is not there. */
  attributesOfItem(id: bigint): Attributes | undefined {
    const row = this.#byId.get(id);
    return row === undefined ? undefined : this.attributesOf(row);
  }

  /**
   * Does what was written to the file.
   *
   * @param vectorsAt where in the file the operation's vectors begin.
   * @returns of each id whether it was there.
   */
  apply(operation: Operation, vectorsAt: number): boolean[] {
    if (operation.kind === 'describe') return [];
    this.#version++;
    if (operation.kind === 'delete') return Array.from(operation.ids, (id) => this.#remove(id));
    const { ids, vectors, attributes } = operation;
    return Array.from(ids, (id, i) => {
      const was = this.#remove(id);
      const vector = vectors.subarray(i * this.dimension, (i + 1) * this.dimension);
      this.#append(id, vector, vectorsAt + i * this.dimension * 4, attributes?.[i]);
      return was;
    });
  }

  #remove(id: bigint): boolean {
    const row = this.#byId.get(id);
    if (row === undefined) return false;
    this.#byId.delete(id);
    this.#diedAt[row] = this.#version;
    // Its attributes stay: a search of an earlier moment may ask for them.
    return true;
  }

  #append(id: bigint, vector: Float32Array, offset: number, attributes: Attributes | undefined): void {
    const row = this.#rows;
    if (row === this.#ids.length) this.#growColumns();
    this.#ids[row] = id;
    this.#diedAt[row] = Number.POSITIVE_INFINITY;
    this.#offsets[row] = offset;
    this.#attributes.push(attributes);
    this.#appendToTail(row, vector);
    this.#rows++;
    this.#byId.set(id, row);
    if (this.#rows - this.#tail.firstRow === this.#rowsPerBlock) this.#seal();
  }

  #appendToTail(row: number, vector: Float32Array): void {
    const { firstRow, values } = this.#tail;
    const at = (row - firstRow) * this.stride;
    if (at === values.length) {
      const room = Math.min(Math.max(INITIAL_ROWS, (row - firstRow) * 2), this.#rowsPerBlock);
      const more = new Float32Array(room * this.stride);
      more.set(values);
      this.#tail = { firstRow, values: more };
    }
    this.#tail.values.set(vector, at);
  }

  #seal(): void {
    const { firstRow, values } = this.#tail;
    const { stride, dimension } = this;
    this.#blocks.push(quantize(values, { firstRow, count: this.#rowsPerBlock, stride, dimension }));
    this.#tail = { firstRow: this.#rows, values: new Float32Array(0) };
  }

  #growColumns(): void {
    const room = this.#ids.length * 2;
    const [ids, diedAt, offsets] = [this.#ids, this.#diedAt, this.#offsets];
    this.#ids = new BigInt64Array(room);
    this.#diedAt = new Float64Array(room);
    this.#offsets = new Float64Array(room);
    this.#ids.set(ids);
    this.#diedAt.set(diedAt);
    this.#offsets.set(offsets);
  }
}

const NO_ATTRIBUTES: Attributes = {};
