import { float32, InvalidInputError, type NdArray } from '@online-cnclip/foundation';
import {
  accumulatedName,
  bufferNames,
  featuresProgram,
  gradientName,
  type MicroBatchOptions,
  microBatchGradientProgram,
  updateName,
} from '@online-cnclip/network';
import type { Executable, RunArray } from '@online-cnclip/runtime';
import {
  type BatchGradients,
  type BatchOutcome,
  type GradientBatch,
  type GradientSettings,
  outcomeOf,
} from './batch-gradients.ts';
import {
  type FeatureLoss,
  type Features,
  prepareFeatureLoss,
  runFeatureLoss,
  runLastMicroBatch,
} from './feature-loss.ts';
import { MicroBatchSource, rowsOf } from './micro-batch-inputs.ts';
import { prepareGradients } from './prepare-gradients.ts';

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

/** The programs of a pass over a batch. */
interface Executables {
  /** Of a micro-batch whose activations are not kept; absent where there is none. */
  readonly features: Executable | undefined;
  readonly loss: Executable;
  readonly gradient: Executable | undefined;
}

/** What the loss leaves to do: the gradient of these micro-batches. */
interface Remaining extends FeatureLoss {
  readonly starts: readonly number[];
}

class MicroBatchGradients implements BatchGradients {
  readonly #settings: GradientSettings;
  readonly #size: number;
  readonly #source: MicroBatchSource;
  /** Whether the last micro-batch's activations stay while the loss is computed: there features are exchanged within a program. */
  readonly #keepsLast: boolean;
  readonly #prepared = new Map<string, Promise<Executable>>();
  /** The arena, as the loss' program writes it, and as the others add to it. */
  readonly #outputs: Readonly<Record<string, RunArray>>;
  readonly #sums: Readonly<Record<string, RunArray>>;
  readonly #accumulated: Readonly<Record<string, RunArray>>;

  constructor(settings: GradientSettings, microBatchSize: number) {
    this.#settings = settings;
    this.#size = microBatchSize;
    this.#source = new MicroBatchSource(settings, microBatchSize);
    this.#keepsLast = !settings.replicas?.aggregate || (settings.runtime.canExchange ?? false);
    const tensors = settings.words.writtenByPrograms(settings.gradients.tensors);
    const ofTowers = tensors.filter(([name]) => name !== 'logit_scale');
    this.#outputs = Object.fromEntries(tensors.map(([name, tensor]) => [gradientName(name), tensor]));
    this.#sums = Object.fromEntries(ofTowers.map(([name, tensor]) => [gradientName(name), tensor]));
    this.#accumulated = Object.fromEntries(ofTowers.map(([name, tensor]) => [accumulatedName(name), tensor]));
  }

  async prepare(rows: number, masked: boolean): Promise<Executables> {
    const { config, runtime, freezeVision, precision, words } = this.#settings;
    const size = this.#size;
    if (rows % size !== 0)
      throw new InvalidInputError(`${size} does not divide the batch of ${rows}`, {
        place: 'micro-batch-size',
      });
    const options: MicroBatchOptions = {
      config,
      freezeVision,
      microBatchSize: size,
      wordRows: words.isByRows,
      ...(masked && { masked }),
      ...(precision && { precision }),
    };
    const kind = masked ? 'masked' : 'plain';
    const loss = await this.#once(`${kind} loss of ${rows}`, () =>
      this.#keepsLast
        ? prepareGradients(this.#settings, { batchSize: size, givenPairs: rows - size, masked })
        : prepareFeatureLoss(this.#settings, { rows, masked }),
    );
    if (this.#keepsLast && rows === size) return { features: undefined, loss, gradient: undefined };
    return {
      features: await this.#once(`${kind} features`, () => runtime.prepare(featuresProgram(options))),
      loss,
      gradient: await this.#once(`${kind} gradient`, () =>
        runtime.prepare(microBatchGradientProgram(options)),
      ),
    };
  }

  #once(key: string, prepare: () => Promise<Executable>): Promise<Executable> {
    const prepared = this.#prepared.get(key) ?? prepare();
    this.#prepared.set(key, prepared);
    return prepared;
  }

  async run(batch: GradientBatch): Promise<BatchOutcome> {
    const [rows = 0] = batch.images.shape;
    const executables = await this.prepare(rows, batch.pairKeys !== undefined);
    const starts = Array.from({ length: rows / this.#size }, (_, i) => i * this.#size);
    const statistics = new Map<string, Float32Array>();
    this.#settings.words.clear();
    const { outputs, byImages, byTexts, ...remaining } = this.#keepsLast
      ? await this.#lossKeepingLast(executables, batch, starts)
      : await this.#lossApart(executables, batch, starts);
    this.#addStatistics(statistics, outputs, starts.length);
    for (const start of remaining.starts) {
      const inputs = this.#source.inputsAt(batch, start);
      const updates = await (executables.gradient as Executable).run(
        {
          ...inputs,
          ...(byImages && { [gradientName('image_features')]: rowsOf(byImages, start, this.#size) }),
          ...(byTexts && { [gradientName('text_features')]: rowsOf(byTexts, start, this.#size) }),
          ...this.#accumulated,
        },
        this.#sums,
      );
      this.#settings.words.add(inputs.input_ids, updates);
      this.#addStatistics(statistics, updates, starts.length);
    }
    return outcomeOf(outputs, statistics);
  }

  async dispose(): Promise<void> {
    for (const prepared of this.#prepared.values()) await (await prepared).dispose();
  }

  /** The last micro-batch's gradient is there with the loss: the others' are added to it. */
  async #lossKeepingLast(
    { features, loss }: Executables,
    batch: GradientBatch,
    all: readonly number[],
  ): Promise<Remaining> {
    const [starts, last = 0] = [all.slice(0, -1), all.at(-1)];
    const given = await this.#features(features, batch, starts);
    const inputs = this.#source.inputsAt(batch, last);
    const result = await runLastMicroBatch(loss, batch, inputs, given, this.#outputs);
    this.#settings.words.add(inputs.input_ids, result.outputs);
    return { ...result, starts };
  }

  async #lossApart(
    { features, loss }: Executables,
    batch: GradientBatch,
    starts: readonly number[],
  ): Promise<Remaining> {
    const own = await this.#features(features, batch, starts);
    const result = await runFeatureLoss(this.#settings, loss, batch, own);
    const { gradients } = this.#settings;
    gradients.clear();
    gradients.write('logit_scale', result.outputs[gradientName('logit_scale')]?.data as Float32Array);
    return { ...result, starts };
  }

  async #features(
    executable: Executable | undefined,
    batch: GradientBatch,
    starts: readonly number[],
  ): Promise<Features> {
    const width = this.#settings.config.vision.embedDim;
    const rows = starts.length * this.#size;
    const [images, texts] = [new Float32Array(rows * width), new Float32Array(rows * width)];
    for (const start of starts) {
      const outputs = await (executable as Executable).run(this.#source.inputsAt(batch, start));
      images.set(outputs['image_features']?.data as Float32Array, start * width);
      texts.set(outputs['text_features']?.data as Float32Array, start * width);
    }
    return { images: float32([rows, width], images), texts: float32([rows, width], texts) };
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
