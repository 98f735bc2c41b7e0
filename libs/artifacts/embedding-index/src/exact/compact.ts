import { encodeOperation } from '../durable/frame.ts';
import type { ItemFile } from '../durable/item-file.ts';
import type { Attributes } from '../port.ts';
import { readRows } from './rank-rows.ts';
import { RowTable } from './row-table.ts';

/** Vectors copied at a time. */
const PART_BYTES = 4 * 1024 * 1024;

/**
 * Copies the living rows of a table, in order, from one file to another. Nothing may change the table meanwhile.
 *
 * @returns the table of the new file, which is not yet durable.
 */
export async function copyLiving(table: RowTable, from: ItemFile, to: ItemFile): Promise<RowTable> {
  const { dimension } = table;
  const copy = new RowTable(dimension);
  const { rows, version } = table.snapshot();
  const living: number[] = [];
  const rowsPerPart = Math.max(1, Math.floor(PART_BYTES / (dimension * 4)));
  const flush = async (): Promise<void> => {
    const part = living.splice(0);
    if (part.length === 0) return;
    const vectors = readRows(table, from, part);
    const ids = BigInt64Array.from(part, (row) => table.idOf(row));
    const attributes = part.map((row) => table.attributesOf(row));
    await writeItems(to, copy, { ids, vectors, attributes });
  };
  for (let row = 0; row < rows; row++) {
    if (table.isLiveAt(row, version)) living.push(row);
    if (living.length === rowsPerPart) await flush();
  }
  await flush();
  return copy;
}

interface Items {
  readonly ids: BigInt64Array;
  readonly vectors: Float32Array;
  readonly attributes?: readonly Attributes[];
}

/** Appends items to a file that is not in use yet, and to its table. */
export async function writeItems(
  file: ItemFile,
  table: RowTable,
  { ids, vectors, attributes }: Items,
): Promise<void> {
  const some = attributes?.some((one) => Object.keys(one).length > 0);
  const operation = { kind: 'upsert', ids, vectors, attributes: some ? attributes : undefined } as const;
  const encoded = encodeOperation(operation);
  const payloadAt = await file.append([encoded], false);
  table.apply(operation, payloadAt + encoded.vectorsAt);
}
