import { EventLoopTurns } from './event-loop-turns.ts';
import { VectorTable } from './scoring/vector-table.ts';

/** Deleted rows stay until they are so large a share: deleting one item then costs next to nothing on average. */
const MAX_DEAD_SHARE = 0.2;

/** Below so many deleted rows the share does not matter. */
const MIN_DEAD_ROWS = 1_024;

/** Rows moved between two looks at the clock. */
const ROWS_PER_LOOK = 256;

/** Items of an index, in the order they were added: the rows, their ids, and which of them are deleted. */
export class IndexItems {
  readonly vectors: VectorTable;
  readonly #rowOf = new Map<bigint, number>();
  /** By row; undefined where the item was deleted. */
  readonly #ids: (bigint | undefined)[] = [];

  constructor(dimension: number) {
    this.vectors = new VectorTable(dimension);
  }

  get size(): number {
    return this.#rowOf.size;
  }

  /** Whether no row is deleted. */
  get isWhole(): boolean {
    return this.#rowOf.size === this.#ids.length;
  }

  has(id: bigint): boolean {
    return this.#rowOf.has(id);
  }

  isLive(row: number): boolean {
    return this.#ids[row] !== undefined;
  }

  idsOf(rows: readonly number[]): BigInt64Array {
    return BigInt64Array.from(rows, (row) => this.#ids[row] as bigint);
  }

  /** Adds an item or replaces its vector, which keeps its place. */
  set(id: bigint, vector: Float32Array): void {
    const row = this.#rowOf.get(id);
    if (row !== undefined) {
      this.vectors.replace(row, vector, `item ${id}`);
      return;
    }
    this.#rowOf.set(id, this.vectors.append(vector, `item ${id}`));
    this.#ids.push(id);
  }

  delete(id: bigint): boolean {
    const row = this.#rowOf.get(id);
    if (row === undefined) return false;
    this.#rowOf.delete(id);
    this.#ids[row] = undefined;
    return true;
  }

  *entries(): Generator<{ readonly id: bigint; readonly vector: Float32Array }, void, void> {
    for (const [row, id] of this.#ids.entries())
      if (id !== undefined) yield { id, vector: this.vectors.row(row) };
  }

  /** Closes the gaps, in order, once there are many. Nothing may read or change the items meanwhile. */
  async compactWhenSparse(): Promise<void> {
    const dead = this.#ids.length - this.size;
    if (dead < MIN_DEAD_ROWS && this.size > 0) return;
    if (dead <= this.#ids.length * MAX_DEAD_SHARE) return;
    const turns = new EventLoopTurns();
    let target = 0;
    for (let row = 0; row < this.#ids.length; row++) {
      const id = this.#ids[row];
      if (id === undefined) continue;
      if (row !== target) this.#move(id, row, target);
      target++;
      if (row % ROWS_PER_LOOK === 0 && turns.due) await turns.take();
    }
    this.#ids.length = target;
    this.vectors.truncate(target);
  }

  #move(id: bigint, from: number, to: number): void {
    this.vectors.move(from, to);
    this.#rowOf.set(id, to);
    this.#ids[to] = id;
    this.#ids[from] = undefined;
  }
}
