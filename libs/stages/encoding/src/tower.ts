import { type NdArray, type TraceOfCall, throwIfAborted } from '@online-cnclip/foundation';
import type { Admission } from './admission.ts';
import type { BatchRecord } from './batch-queue.ts';
import { type Outcome, settleItems } from './outcome.ts';

export type TowerName = 'text' | 'image';

export interface TowerBatch extends BatchRecord {
  /** Positions that were computed for the items' own sake, and for padding; 0 where nothing is padded. */
  readonly tokens: number;
  readonly paddingTokens: number;
}

/** Told of each batch, for metrics. */
export type BatchObserver = (tower: TowerName, batch: TowerBatch) => void;

/** Who is told of a tower's work. */
export interface TowerObservers {
  readonly onBatch?: BatchObserver | undefined;
  readonly traceOfCall?: TraceOfCall | undefined;
}

/**
 * Admits the items of one request, then computes each; a place in the queue is given back as its item ends, however
 * it ends.
 *
 * @throws ResourceExhaustedError when they do not all fit; the signal's reason once it is aborted.
 */
export function encodeAdmitted<Item, Result>(
  items: readonly Item[],
  options: {
    admission: Admission;
    costOf: (item: Item) => number;
    encode: (item: Item) => Promise<Result>;
    signal: AbortSignal | undefined;
  },
): Promise<Outcome<Result>[]> {
  const { admission, costOf, encode, signal } = options;
  throwIfAborted(signal);
  admission.admit(items.map(costOf));
  const results = items.map((item) => encode(item).finally(() => admission.release(costOf(item))));
  return settleItems(results, () => throwIfAborted(signal));
}

/** Copies the rows of a [rows, width] tensor apart, so that keeping one does not keep the whole batch. */
export function splitRows(tensor: NdArray | undefined, rows: number): Float32Array[] {
  if (tensor?.dtype !== 'float32' || tensor.shape.length !== 2 || tensor.shape[0] !== rows)
    throw new Error(
      `expected ${rows} float32 vectors, got ${tensor ? `${tensor.dtype} [${tensor.shape}]` : 'nothing'}`,
    );
  const { data } = tensor as NdArray<'float32'>;
  const width = tensor.shape[1] ?? 0;
  return Array.from({ length: rows }, (_, row) => data.slice(row * width, (row + 1) * width));
}
