import { float32, type NdArray } from '@online-cnclip/foundation';
import { NO_PAIR } from '@online-cnclip/network';
import type { RunArray } from '@online-cnclip/runtime';
import { type GradientBatch, type GradientSettings, globalRows, trimPadding } from './batch-gradients.ts';
import { dropoutMasks } from './dropout-masks.ts';

/** Inputs of the towers' programs for a few rows of a batch. */
export interface MicroBatchInputs extends Readonly<Record<string, RunArray>> {
  readonly input_ids: NdArray<'int32'>;
}

/** Makes the inputs of one micro-batch after the other: the next ones take the memory of those before. */
export class MicroBatchSource {
  readonly #settings: GradientSettings;
  readonly #size: number;
  /** By name; in memory that programs read where it is. A message's copies would pile up until they are collected. */
  readonly #buffers = new Map<string, SharedArrayBuffer>();

  constructor(settings: GradientSettings, size: number) {
    this.#settings = settings;
    this.#size = size;
  }

  inputsAt(batch: GradientBatch, start: number): MicroBatchInputs {
    const { config, replicas, parameters, runtime } = this.#settings;
    const size = this.#size;
    const ids = trimPadding(rowsOf(batch.inputIds, start, size));
    const rows = globalRows(replicas, start, size);
    const length = ids.shape[1] as number;
    const images = rowsOf(batch.images, start, size);
    // An eager runtime may read an array later than it is given.
    const isReusable = runtime.deviceArray === undefined;
    return {
      ...Object.fromEntries(parameters),
      images: isReusable ? this.#copyOf(images) : images,
      input_ids: ids,
      ...(isReusable
        ? dropoutMasks(config, rows, length, batch.dropout, (name, bytes) => this.#bytes(name, bytes))
        : dropoutMasks(config, rows, length, batch.dropout)),
      ...(batch.pairKeys && { pair_rows: pairRows(this.#settings, batch, start, size) }),
    };
  }

  #copyOf(images: NdArray<'float32'>): NdArray<'float32'> {
    const { buffer } = this.#bytes('images', images.data.byteLength);
    const data = new Float32Array(buffer, 0, images.data.length);
    data.set(images.data);
    return { ...images, data };
  }

  #bytes(name: string, length: number): Uint8Array {
    const known = this.#buffers.get(name);
    const buffer = known && known.byteLength >= length ? known : new SharedArrayBuffer(length);
    this.#buffers.set(name, buffer);
    return new Uint8Array(buffer, 0, length);
  }
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
