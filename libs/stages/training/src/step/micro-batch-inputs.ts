import { float32, type NdArray } from '@online-cnclip/foundation';
import { NO_PAIR } from '@online-cnclip/network';
import type { RunArray } from '@online-cnclip/runtime';
import { type GradientBatch, type GradientSettings, globalRows, trimPadding } from './batch-gradients.ts';
import { dropoutMasks } from './dropout-masks.ts';

/** Inputs of the towers' programs for a few rows of a batch. */
export interface MicroBatchInputs extends Readonly<Record<string, RunArray>> {
  readonly input_ids: NdArray<'int32'>;
}

export function microBatchInputs(
  settings: GradientSettings,
  batch: GradientBatch,
  start: number,
  count: number,
): MicroBatchInputs {
  const { config, replicas, parameters } = settings;
  const ids = trimPadding(rowsOf(batch.inputIds, start, count));
  const rows = globalRows(replicas, start, count);
  return {
    ...Object.fromEntries(parameters),
    images: rowsOf(batch.images, start, count),
    input_ids: ids,
    ...dropoutMasks(config, rows, ids.shape[1] as number, batch.dropout),
    ...(batch.pairKeys && { pair_rows: pairRows(settings, batch, start, count) }),
  };
}

/** float32 `[count]`: which of the rows are pairs. */
function pairRows(
  { replicas }: GradientSettings,
  { pairKeys, images }: GradientBatch,
  start: number,
  count: number,
): NdArray<'float32'> {
  const first = (replicas?.aggregate ? replicas.rank * (images.shape[0] as number) : 0) + start;
  const isPair = (_: unknown, i: number) => (pairKeys?.data[2 * (first + i)] === NO_PAIR ? 0 : 1);
  return float32([count], Float32Array.from({ length: count }, isPair));
}

/** Rows `first` to before `first + count`, as a view. */
export function rowsOf<A extends NdArray<'float32'> | NdArray<'int32'>>(
  array: A,
  first: number,
  count: number,
): A {
  const [rows = 0, ...rest] = array.shape;
  const width = array.data.length / rows;
  const data = array.data.subarray(first * width, (first + count) * width);
  return { ...array, shape: [count, ...rest], data };
}
