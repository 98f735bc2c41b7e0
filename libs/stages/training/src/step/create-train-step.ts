import { FailedPreconditionError, type NdArray } from '@online-cnclip/foundation';
import {
  dropoutSpecs,
  gradientName,
  gradientProgram,
  liveImageEncoderProgram,
  liveTextEncoderProgram,
  parameterSpecs,
  trainableNames,
  updateName,
} from '@online-cnclip/network';
import type { Executable, TensorSpec } from '@online-cnclip/runtime';
import type { StepChoices, TrainState, TrainStep, TrainStepOptions, TrainStepResult } from '../train-step.ts';
import { Arena, layOut } from './arena.ts';
import { dropoutMask } from './dropout-masks.ts';
import { fillBatch } from './fill-batch.ts';
import { createOptimizer, type Optimizer } from './optimizer.ts';

/** CLIP keeps the factor of the logits between 1 and 100. */
const MIN_LOGIT_SCALE = 0;
const MAX_LOGIT_SCALE = 4.6052;

/** Builds the programs of a training step and holds the model's parameters and the optimizer's state between steps. */
export async function createTrainStep(options: TrainStepOptions): Promise<TrainStep> {
  const { config, runtime, batchSize, loss, freezeVision } = options;
  const specs = parameterSpecs(config);
  const trained = new Set(trainableNames(config, freezeVision));
  const pick = (isWanted: (name: string) => boolean) =>
    new Map([...specs].filter(([name]) => isWanted(name)));
  const trainedLayout = layOut(pick((name) => trained.has(name)));
  const arenas = {
    trained: new Arena(trainedLayout),
    gradients: new Arena(trainedLayout),
    fixed: new Arena(layOut(pick((name) => !trained.has(name)))),
  };
  arenas.trained.load(options.parameters, 'parameter');
  arenas.fixed.load(options.parameters, 'parameter');
  const gradient = await runtime.prepare(gradientProgram({ config, batchSize, loss, freezeVision }));
  const optimizer = await createOptimizer(runtime, options.optimizer, trainedLayout);
  // The starting values are in the arenas now: holding on to the caller's copy would cost as much again.
  const { parameters: _, ...settings } = options;
  return new RunningTrainStep(settings, arenas, gradient, optimizer);
}

interface Arenas {
  readonly trained: Arena;
  readonly gradients: Arena;
  /** Frozen parameters and running statistics. */
  readonly fixed: Arena;
}

type StepSettings = Omit<TrainStepOptions, 'parameters'>;

class RunningTrainStep implements TrainStep {
  readonly #options: StepSettings;
  readonly #arenas: Arenas;
  readonly #gradient: Executable;
  readonly #optimizer: Optimizer;
  /** Every tensor of the model, in the order of the specs. */
  readonly #parameters: ReadonlyMap<string, NdArray<'float32'>>;
  readonly #gradientOutputs: Readonly<Record<string, NdArray>>;
  readonly #encoders = new Map<'image' | 'text', Promise<Executable>>();
  /** The gradient program with masks, by its batch size: prepared when the first batch needs it. */
  readonly #masked = new Map<number, Promise<Executable>>();
  #isBusy = false;

  constructor(options: StepSettings, arenas: Arenas, gradient: Executable, optimizer: Optimizer) {
    this.#options = options;
    this.#arenas = arenas;
    this.#gradient = gradient;
    this.#optimizer = optimizer;
    const { trained, gradients, fixed } = arenas;
    this.#parameters = new Map(
      [...parameterSpecs(options.config).keys()].map((name) => [
        name,
        (trained.tensors.get(name) ?? fixed.tensors.get(name)) as NdArray<'float32'>,
      ]),
    );
    this.#gradientOutputs = Object.fromEntries(
      [...gradients.tensors].map(([name, tensor]) => [gradientName(name), tensor]),
    );
  }

  run(
    images: NdArray<'float32'>,
    inputIds: NdArray<'int32'>,
    learningRate: number,
    { pairKeys, draw = this.#optimizer.step }: StepChoices = {},
  ): Promise<TrainStepResult> {
    return this.#exclusively(async () => {
      const { batchSize, largestBatch = batchSize, contextLength } = this.#options;
      const rows = (images.shape[0] ?? 0) <= batchSize ? batchSize : largestBatch;
      const batch = fillBatch({ images, inputIds, pairKeys }, { batchSize, rows, contextLength });
      const ids = trimPadding(batch.inputIds);
      const keys = batch.pairKeys && { pair_keys: batch.pairKeys };
      const gradient = keys ? await this.#maskedGradient(rows) : this.#gradient;
      const dropout = this.#dropoutMasks(rows, ids.shape[1] as number, draw);
      const outputs = await gradient.run(
        { images: batch.images, input_ids: ids, ...dropout, ...keys, ...this.#weights() },
        this.#gradientOutputs,
      );
      const value = (name: string) => Number(outputs[name]?.data[0]);
      const result = {
        loss: value('loss'),
        imageToTextAccuracy: value('image_to_text_accuracy'),
        textToImageAccuracy: value('text_to_image_accuracy'),
      };
      if (!Number.isFinite(result.loss))
        throw new FailedPreconditionError(
          `the loss of step ${this.#optimizer.step} is ${result.loss}; lower the learning rate (${learningRate}) or check the data`,
        );
      await this.#optimizer.update(this.#arenas.trained, this.#arenas.gradients, learningRate);
      this.#updateRunningStatistics(outputs);
      return { ...result, logitScale: this.#clampLogitScale() };
    });
  }

  encodeImages(images: NdArray<'float32'>): Promise<NdArray<'float32'>> {
    return this.#encode('image', { images });
  }

  encodeTexts(inputIds: NdArray<'int32'>): Promise<NdArray<'float32'>> {
    return this.#encode('text', { input_ids: trimPadding(inputIds) });
  }

  async state(): Promise<TrainState> {
    const { step, expAvg, expAvgSq } = this.#optimizer;
    return {
      parameters: this.#parameters,
      optimizer: { step, expAvg: expAvg.tensors, expAvgSq: expAvgSq.tensors },
    };
  }

  restore({ parameters, optimizer }: TrainState): Promise<void> {
    return this.#exclusively(async () => {
      this.#arenas.trained.load(parameters, 'parameter');
      this.#arenas.fixed.load(parameters, 'parameter');
      this.#optimizer.expAvg.load(optimizer.expAvg, 'exp_avg');
      this.#optimizer.expAvgSq.load(optimizer.expAvgSq, 'exp_avg_sq');
      this.#optimizer.step = optimizer.step;
    });
  }

  async dispose(): Promise<void> {
    await this.#gradient.dispose();
    for (const gradient of this.#masked.values()) await (await gradient).dispose();
    await this.#optimizer.dispose();
    for (const encoder of this.#encoders.values()) await (await encoder).dispose();
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw new FailedPreconditionError('the previous step has not ended');
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }

  #maskedGradient(batchSize: number): Promise<Executable> {
    const { config, loss, freezeVision, runtime } = this.#options;
    const program = gradientProgram({ config, batchSize, loss, freezeVision, masked: true });
    const gradient = this.#masked.get(batchSize) ?? runtime.prepare(program);
    this.#masked.set(batchSize, gradient);
    return gradient;
  }

  #weights(): Record<string, NdArray> {
    return Object.fromEntries(this.#parameters);
  }

  /** Masks of this step, by the seed and the number of the draw: a resumed run draws the same. */
  #dropoutMasks(rows: number, length: number, draw: number): Record<string, NdArray> {
    const { config, seed } = this.#options;
    const { hidden, attention } = dropoutSpecs(config, rows);
    const maskOf = (spec: TensorSpec, rate: number, site: number) =>
      dropoutMask(
        spec.shape.map((size) => (typeof size === 'number' ? size : length)),
        rate,
        seed,
        draw,
        site,
      );
    return {
      ...(hidden ? { [hidden.name]: maskOf(hidden, config.text.hiddenDropout, 0) } : {}),
      ...(attention ? { [attention.name]: maskOf(attention, config.text.attentionDropout, 1) } : {}),
    };
  }

  async #encode(tower: 'image' | 'text', inputs: Record<string, NdArray>): Promise<NdArray<'float32'>> {
    const { config, runtime } = this.#options;
    const prepare = () =>
      runtime.prepare(tower === 'image' ? liveImageEncoderProgram(config) : liveTextEncoderProgram(config));
    const encoder = this.#encoders.get(tower) ?? prepare();
    this.#encoders.set(tower, encoder);
    const outputs = await (await encoder).run({ ...inputs, ...this.#weights() });
    return outputs['normalized'] as NdArray<'float32'>;
  }

  #updateRunningStatistics(outputs: Readonly<Record<string, NdArray>>): void {
    for (const [name, tensor] of this.#arenas.fixed.tensors) {
      const update = outputs[updateName(name)];
      if (update) tensor.data.set(update.data as Float32Array);
    }
  }

  #clampLogitScale(): number {
    const { data } = this.#parameters.get('logit_scale') as NdArray<'float32'>;
    data[0] = Math.min(MAX_LOGIT_SCALE, Math.max(MIN_LOGIT_SCALE, data[0] as number));
    return data[0];
  }
}

/** Without the columns that are padding in every row: the model masks padding, so its answers are the same. */
function trimPadding(inputIds: NdArray<'int32'>): NdArray<'int32'> {
  const [rows = 0, columns = 0] = inputIds.shape;
  const { data } = inputIds;
  let length = columns;
  const isPadding = (column: number) => {
    for (let row = 0; row < rows; row++) if (data[row * columns + column] !== 0) return false;
    return true;
  };
  while (length > 1 && isPadding(length - 1)) length--;
  if (length === columns) return inputIds;
  const trimmed = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++)
    trimmed.set(data.subarray(row * columns, row * columns + length), row * length);
  return { dtype: 'int32', shape: [rows, length], data: trimmed };
}
