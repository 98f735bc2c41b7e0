import { float32, InvalidInputError, type NdArray } from '@online-cnclip/foundation';
import {
  accumulatedName,
  bufferNames,
  featureLossProgram,
  featuresProgram,
  gradientName,
  LOSS_SCALE,
  type MicroBatchOptions,
  microBatchGradientProgram,
  NO_PAIR,
  updateName,
} from '@online-cnclip/network';
import type { Executable, RunArray } from '@online-cnclip/runtime';
import {
  type BatchGradients,
  type BatchOutcome,
  type GradientBatch,
  type GradientSettings,
  globalRows,
  outcomeOf,
  trimPadding,
} from './batch-gradients.ts';
import { dropoutMasks } from './dropout-masks.ts';

/**
 * Gradients of a batch whose pairs go through the towers a few at a time (GradCache, Gao et al., 2021): exactly those of
 * the whole batch, in the memory of a micro-batch. Batch normalisation knows its micro-batch only.
 *
 * @throws InvalidInputError where micro-batches do not make up a batch.
 */
export async function createMicroBatchGradients(
  settings: GradientSettings,
  microBatchSize: number,
): Promise<BatchGradients> {
  if (settings.batchSize % microBatchSize !== 0)
    throw new InvalidInputError(`${microBatchSize} does not divide the batch of ${settings.batchSize}`, {
      place: 'micro-batch-size',
    });
  const { replicas } = settings;
  if (replicas?.syncBatchNorm)
    throw new InvalidInputError('cannot be had with micro-batches: each has statistics of its own', {
      place: 'use-bn-sync',
    });
  const gradients = new MicroBatchGradients(settings, microBatchSize);
  await gradients.prepare(settings.batchSize, false);
  return gradients;
}

interface Executables {
  readonly features: Executable;
  readonly loss: Executable;
  readonly gradient: Executable;
}

/** A micro-batch's own rows of the batch's arrays, as inputs of the programs. */
type MicroBatch = Readonly<Record<string, RunArray>>;

class MicroBatchGradients implements BatchGradients {
  readonly #settings: GradientSettings;
  readonly #size: number;
  readonly #prepared = new Map<string, Promise<Executables>>();
  readonly #outputs: Readonly<Record<string, RunArray>>;
  readonly #accumulated: Readonly<Record<string, RunArray>>;

  constructor(settings: GradientSettings, microBatchSize: number) {
    this.#settings = settings;
    this.#size = microBatchSize;
    // The programs add to the arena in place.
    const tensors = [...settings.gradients.tensors].filter(([name]) => name !== 'logit_scale');
    this.#outputs = Object.fromEntries(tensors.map(([name, tensor]) => [gradientName(name), tensor]));
    this.#accumulated = Object.fromEntries(tensors.map(([name, tensor]) => [accumulatedName(name), tensor]));
  }

  prepare(rows: number, masked: boolean): Promise<Executables> {
    const key = `${rows}${masked ? ' masked' : ''}`;
    const prepared = this.#prepared.get(key) ?? this.#prepare(rows, masked);
    this.#prepared.set(key, prepared);
    return prepared;
  }

  async run(batch: GradientBatch): Promise<BatchOutcome> {
    const [rows = 0] = batch.images.shape;
    const executables = await this.prepare(rows, batch.pairKeys !== undefined);
    const starts = Array.from({ length: rows / this.#size }, (_, i) => i * this.#size);
    const features = await this.#features(executables, batch, starts);
    const { outputs, byImages, byTexts } = await this.#lossOf(executables, batch, features, rows);
    const { gradients } = this.#settings;
    gradients.clear();
    gradients.write('logit_scale', outputs[gradientName('logit_scale')]?.data as Float32Array);
    const statistics = new Map<string, Float32Array>();
    for (const start of starts) {
      const updates = await executables.gradient.run(
        {
          ...this.#microBatch(batch, start),
          [gradientName('image_features')]: rowsOf(byImages, start, this.#size),
          [gradientName('text_features')]: rowsOf(byTexts, start, this.#size),
          ...this.#accumulated,
        },
        this.#outputs,
      );
      this.#addStatistics(statistics, updates, starts.length);
    }
    return outcomeOf(outputs, statistics);
  }

  async dispose(): Promise<void> {
    for (const prepared of this.#prepared.values())
      for (const executable of Object.values(await prepared)) await executable.dispose();
  }

  async #prepare(rows: number, masked: boolean): Promise<Executables> {
    const { config, runtime, loss, freezeVision, replicas, precision, lossScaled } = this.#settings;
    if (rows % this.#size !== 0)
      throw new InvalidInputError(`${this.#size} does not divide the batch of ${rows}`, {
        place: 'micro-batch-size',
      });
    const half = precision && { precision };
    const options: MicroBatchOptions = {
      config,
      freezeVision,
      microBatchSize: this.#size,
      ...(masked && { masked }),
      ...half,
    };
    const pairs = replicas?.aggregate ? rows * replicas.worldSize : rows;
    const { embedDim } = config.vision;
    return {
      features: await runtime.prepare(featuresProgram(options)),
      loss: await runtime.prepare(
        featureLossProgram({
          loss,
          pairs,
          embedDim,
          ...(masked && { masked }),
          ...(lossScaled && { lossScaled }),
          ...half,
        }),
      ),
      gradient: await runtime.prepare(microBatchGradientProgram(options)),
    };
  }

  /** float32 `[rows, 2 embed]`: of each pair its image's features, then its text's. */
  async #features(
    { features }: Executables,
    batch: GradientBatch,
    starts: readonly number[],
  ): Promise<Float32Array> {
    const width = this.#settings.config.vision.embedDim;
    const all = new Float32Array(starts.length * this.#size * 2 * width);
    for (const start of starts) {
      const outputs = await features.run(this.#microBatch(batch, start));
      const part = interleave(
        outputs['image_features']?.data as Float32Array,
        outputs['text_features']?.data as Float32Array,
        width,
      );
      all.set(part, start * 2 * width);
    }
    return all;
  }

  /** The loss over the features of all replicas, and its gradient by the own ones. */
  async #lossOf({ loss }: Executables, batch: GradientBatch, own: Float32Array, rows: number) {
    const { config, replicas, collectives, parameters } = this.#settings;
    const width = config.vision.embedDim;
    const isShared = replicas?.aggregate ?? false;
    const all = isShared ? new Float32Array(own.length * collectives.worldSize) : own;
    if (isShared) await collectives.allGather(own, all);
    const [images, texts] = separate(all, width);
    const pairs = images.length / width;
    const outputs = await loss.run({
      image_features: float32([pairs, width], images),
      text_features: float32([pairs, width], texts),
      logit_scale: parameters.get('logit_scale') as RunArray,
      ...(batch.pairKeys && { pair_keys: batch.pairKeys }),
      [LOSS_SCALE.name]: float32([], Float32Array.of(batch.lossScale)),
    });
    const first = isShared ? collectives.rank * rows : 0;
    const scale = replicas?.featureGradientScale ?? 1;
    const ownPart = (name: string): NdArray<'float32'> => {
      const part = rowsOf(outputs[gradientName(name)] as NdArray<'float32'>, first, rows);
      return scale === 1 ? part : { ...part, data: part.data.map((value) => value * scale) };
    };
    return { outputs, byImages: ownPart('image_features'), byTexts: ownPart('text_features') };
  }

  #microBatch(batch: GradientBatch, start: number): MicroBatch {
    const { config, replicas, parameters } = this.#settings;
    const size = this.#size;
    const ids = trimPadding(rowsOf(batch.inputIds, start, size));
    const rows = globalRows(replicas, start, size);
    return {
      images: rowsOf(batch.images, start, size),
      input_ids: ids,
      ...dropoutMasks(config, rows, ids.shape[1] as number, batch.dropout),
      ...(batch.pairKeys && { pair_rows: this.#pairRows(batch, start) }),
      ...Object.fromEntries(parameters),
    };
  }

  /** float32 `[micro-batch]`: which of its rows are pairs. */
  #pairRows({ pairKeys, images }: GradientBatch, start: number): NdArray<'float32'> {
    const { replicas } = this.#settings;
    const first = (replicas?.aggregate ? replicas.rank * (images.shape[0] as number) : 0) + start;
    const isPair = (_: unknown, i: number) => (pairKeys?.data[2 * (first + i)] === NO_PAIR ? 0 : 1);
    return float32([this.#size], Float32Array.from({ length: this.#size }, isPair));
  }

  /** A step moves the running statistics once, by the mean of its micro-batches' statistics. */
  #addStatistics(
    sums: Map<string, Float32Array>,
    outputs: Readonly<Record<string, NdArray>>,
    count: number,
  ): void {
    for (const name of bufferNames(this.#settings.config)) {
      const update = outputs[updateName(name)]?.data as Float32Array | undefined;
      if (!update) continue;
      const sum = sums.get(name) ?? new Float32Array(update.length);
      sums.set(name, sum);
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (update[i] as number) / count;
    }
  }
}

/** Rows `first` to before `first + count`, as a view. */
function rowsOf<A extends NdArray<'float32'> | NdArray<'int32'>>(array: A, first: number, count: number): A {
  const [rows = 0, ...rest] = array.shape;
  const width = array.data.length / rows;
  const data = array.data.subarray(first * width, (first + count) * width);
  return { ...array, shape: [count, ...rest], data };
}

/** Rows `[n, width]` of two arrays side by side: `[n, 2 width]`. */
function interleave(left: Float32Array, right: Float32Array, width: number): Float32Array {
  const both = new Float32Array(left.length * 2);
  for (let at = 0; at < left.length; at += width) {
    both.set(left.subarray(at, at + width), 2 * at);
    both.set(right.subarray(at, at + width), 2 * at + width);
  }
  return both;
}

function separate(both: Float32Array, width: number): readonly [Float32Array, Float32Array] {
  const [left, right] = [new Float32Array(both.length / 2), new Float32Array(both.length / 2)];
  for (let at = 0; at < left.length; at += width) {
    left.set(both.subarray(2 * at, 2 * at + width), at);
    right.set(both.subarray(2 * at + width, 2 * at + 2 * width), at);
  }
  return [left, right];
}
