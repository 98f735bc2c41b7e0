import { throwIfAborted } from '@online-cnclip/foundation';
import type { ItemFile } from '../durable/item-file.ts';
import { EventLoopTurns } from '../event-loop-turns.ts';
import type { SearchHits, VectorSearchOptions } from '../port.ts';
import type { RowTable } from './row-table.ts';

/** Rows in memory, and the file that has their vectors. */
export interface StoredRows {
  readonly table: RowTable;
  readonly file: ItemFile;
}

export interface BestOptions {
  readonly topK: number;
  readonly turns: EventLoopTurns;
  /** The vector of a row that need not be read from the file. */
  readonly rowInMemory?: (row: number) => Float32Array | undefined;
}

/** The best of some rows by their exact scores; of equal ones the row that was written first. */
export async function bestOfRows(
  { table, file }: StoredRows,
  query: Float32Array,
  rows: readonly number[],
  { topK, turns, rowInMemory }: BestOptions,
): Promise<SearchHits> {
  const vector = new Float32Array(table.dimension);
  const bytes = new Uint8Array(vector.buffer);
  const scored: { readonly row: number; readonly score: number }[] = [];
  for (const row of rows) {
    if (turns.due) await turns.take();
    const inMemory = rowInMemory?.(row);
    if (!inMemory) file.read(bytes, table.offsetOf(row));
    scored.push({ row, score: dotProduct(query, inMemory ?? vector) });
  }
  scored.sort((a, b) => b.score - a.score || a.row - b.row);
  const best = scored.slice(0, topK);
  return {
    ids: BigInt64Array.from(best, ({ row }) => table.idOf(row)),
    scores: Float32Array.from(best, ({ score }) => score),
  };
}

/** The nearest of some items for each query; those that are not there or do not pass the filter do not count. */
export async function rankRows(
  rows: StoredRows,
  queries: Float32Array,
  candidates: readonly BigInt64Array[],
  { topK, filter, signal }: VectorSearchOptions,
): Promise<SearchHits[]> {
  throwIfAborted(signal);
  const { table } = rows;
  const turns = new EventLoopTurns(signal);
  const found = candidates.map((ids) =>
    [...new Set(ids)]
      .flatMap((id) => table.rowOf(id) ?? [])
      .filter((row) => !filter || table.matches(row, filter)),
  );
  const hits: SearchHits[] = [];
  for (const [q, some] of found.entries()) {
    const query = queries.subarray(q * table.dimension, (q + 1) * table.dimension);
    hits.push(await bestOfRows(rows, query, some, { topK, turns }));
  }
  return hits;
}

/** float32 `[rows, dimension]`. */
export function readRows(
  table: RowTable,
  file: ItemFile,
  rows: readonly number[],
): Float32Array<ArrayBuffer> {
  const vectorBytes = table.dimension * 4;
  const vectors = new Float32Array(rows.length * table.dimension);
  const bytes = new Uint8Array(vectors.buffer);
  for (const [i, row] of rows.entries())
    file.read(bytes.subarray(i * vectorBytes, (i + 1) * vectorBytes), table.offsetOf(row));
  return vectors;
}

/** In double precision. Four sums, since one would wait for each addition. */
export function dotProduct(query: Float32Array, vector: Float32Array): number {
  const { length } = vector;
  const whole = length - (length % 4);
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    a += (query[i] as number) * (vector[i] as number);
    b += (query[i + 1] as number) * (vector[i + 1] as number);
    c += (query[i + 2] as number) * (vector[i + 2] as number);
    d += (query[i + 3] as number) * (vector[i + 3] as number);
  }
  for (let i = whole; i < length; i++) a += (query[i] as number) * (vector[i] as number);
  return a + b + (c + d);
}
