import { type Collectives, singleReplica } from '@online-cnclip/collectives';
import { FailedPreconditionError, type NdArray, UnsupportedError } from '@online-cnclip/foundation';
import {
  liveImageEncoderProgram,
  liveTextEncoderProgram,
  parameterSpecs,
  type ReplicaOptions,
  trainableNames,
} from '@online-cnclip/network';
import type { Executable, RunArray } from '@online-cnclip/runtime';
import type {
  ReplicaSettings,
  StepChoices,
  TrainState,
  TrainStep,
  TrainStepOptions,
  TrainStepResult,
} from '../train-step.ts';
import { type Arena, createArena, layOut } from './arena.ts';
import { type BatchGradients, type BatchOutcome, trimPadding } from './batch-gradients.ts';
import { fillBatch } from './fill-batch.ts';
import { createGradientCheck, type GradientCheck } from './gradient-check.ts';
import { roundToHalf } from './half-weights.ts';
import { LossScale } from './loss-scale.ts';
import { createMicroBatchGradients } from './micro-batches.ts';
import { createOptimizer, type Optimizer } from './optimizer.ts';
import { gatherPairKeys, uniqueKeys } from './pair-keys.ts';
import { createWholeBatchGradients } from './whole-batch.ts';
import { WordGradient } from './word-gradient.ts';

/** CLIP keeps the factor of the logits between 1 and 100. */
const MIN_LOGIT_SCALE = 0;
const MAX_LOGIT_SCALE = 4.6052;
/** Gradients that overflow without being enlarged are not saved by a smaller scale. */
const MIN_LOSS_SCALE = 1;

/** Builds the programs of a training step and holds the model's parameters and the optimizer's state between steps. */
export async function createTrainStep(options: TrainStepOptions): Promise<TrainStep> {
  const { config, runtime, freezeVision } = options;
  const specs = parameterSpecs(config);
  const trained = new Set(trainableNames(config, freezeVision));
  const pick = (isWanted: (name: string) => boolean) =>
    new Map([...specs].filter(([name]) => isWanted(name)));
  const trainedLayout = layOut(pick((name) => trained.has(name)));
  const arenas = {
    trained: createArena(runtime, trainedLayout),
    gradients: createArena(runtime, trainedLayout),
    fixed: createArena(runtime, layOut(pick((name) => !trained.has(name)))),
  };
  arenas.trained.load(options.parameters, 'parameter');
  arenas.fixed.load(options.parameters, 'parameter');
  const parameters = new Map(
    [...specs.keys()].map((name) => [
      name,
      (arenas.trained.tensors.get(name) ?? arenas.fixed.tensors.get(name)) as RunArray,
    ]),
  );
  const gradients = await createBatchGradients(options, parameters, arenas.gradients);
  const optimizer = await createOptimizer(runtime, options.optimizer, trainedLayout);
  const scaling = isHalf(options) ? await createGradientCheck(runtime) : undefined;
  if (options.precision === 'fp16') await roundToHalf(arenas.trained);
  // The starting values are in the arenas now: holding on to the caller's copy would cost as much again.
  const { parameters: _, ...settings } = options;
  return new RunningTrainStep(settings, { arenas, parameters, gradients, optimizer, scaling });
}

/** Where there is one replica nothing is moved. */
async function sumOverReplicas(arena: Arena, collectives: Collectives): Promise<void> {
  if (collectives.worldSize > 1) await arena.exchange((elements) => collectives.allReduceSum(elements));
}

async function createBatchGradients(
  options: TrainStepOptions,
  parameters: ReadonlyMap<string, RunArray>,
  gradients: Arena,
): Promise<BatchGradients> {
  const { config, runtime, batchSize, loss, freezeVision, microBatchSize } = options;
  const settings = {
    config,
    runtime,
    batchSize,
    loss,
    freezeVision,
    collectives: options.replicas?.collectives ?? singleReplica(),
    replicas: options.replicas && replicaOptions(options.replicas),
    parameters,
    gradients,
    words: new WordGradient(gradients),
    ...(isHalf(options) && { precision: 'half' as const, lossScaled: true }),
  };
  if (settings.replicas?.syncBatchNorm && !runtime.canExchange)
    throw new UnsupportedError(`cannot be had with ${runtime.name}`, { place: 'use-bn-sync' });
  if (microBatchSize !== undefined) return createMicroBatchGradients(settings, microBatchSize);
  // Features leave the programs between micro-batches, so that a runtime that cannot exchange within one still can then.
  if (settings.replicas?.aggregate && !runtime.canExchange)
    return createMicroBatchGradients(settings, batchSize);
  return createWholeBatchGradients(settings);
}

/** Absent for a group of one, whose programs have nothing to exchange. */
function replicaOptions({
  collectives: { rank, worldSize },
  aggregate,
  featureGradients,
  syncBatchNorm,
}: ReplicaSettings): ReplicaOptions | undefined {
  if (worldSize === 1) return undefined;
  const featureGradientScale = featureGradients === 'all' && aggregate ? worldSize : 1;
  return { rank, worldSize, aggregate, featureGradientScale, syncBatchNorm };
}

interface Arenas {
  readonly trained: Arena;
  readonly gradients: Arena;
  /** Frozen parameters and running statistics. */
  readonly fixed: Arena;
}

const isHalf = ({ precision = 'fp32' }: Pick<TrainStepOptions, 'precision'>): boolean => precision !== 'fp32';

interface StepParts {
  readonly arenas: Arenas;
  /** Every tensor of the model, in the order of the specs. */
  readonly parameters: ReadonlyMap<string, RunArray>;
  readonly gradients: BatchGradients;
  readonly optimizer: Optimizer;
  /** Absent in single precision, where the loss is not scaled. */
  readonly scaling: GradientCheck | undefined;
}

type StepSettings = Omit<TrainStepOptions, 'parameters'>;

class RunningTrainStep implements TrainStep {
  readonly #options: StepSettings;
  readonly #arenas: Arenas;
  /** Every tensor of the model, in the order of the specs. */
  readonly #parameters: ReadonlyMap<string, RunArray>;
  readonly #gradients: BatchGradients;
  readonly #optimizer: Optimizer;
  readonly #scaling: GradientCheck | undefined;
  #lossScale = new LossScale();
  readonly #collectives: Collectives;
  readonly #encoders = new Map<'image' | 'text', Promise<Executable>>();
  #isBusy = false;

  constructor(options: StepSettings, { arenas, parameters, gradients, optimizer, scaling }: StepParts) {
    this.#options = options;
    this.#scaling = scaling;
    this.#arenas = arenas;
    this.#parameters = parameters;
    this.#gradients = gradients;
    this.#optimizer = optimizer;
    this.#collectives = options.replicas?.collectives ?? singleReplica();
  }

  run(
    images: NdArray<'float32'>,
    inputIds: NdArray<'int32'>,
    learningRate: number,
    { pairKeys, draw = this.#optimizer.step }: StepChoices = {},
  ): Promise<TrainStepResult> {
    return this.#exclusively(async () => {
      const { batchSize, contextLength, seed } = this.#options;
      const { rank } = this.#collectives;
      const { step } = this.#optimizer;
      const { rows, isPlain } = await this.#agreeOnRows(images.shape[0] ?? 0, pairKeys !== undefined);
      const sizes = { batchSize, rows, contextLength, rank };
      const batch = fillBatch({ images, inputIds, pairKeys }, sizes);
      const outcome = await this.#gradients.run({
        images: batch.images,
        inputIds: batch.inputIds,
        pairKeys: isPlain ? undefined : await this.#sharedKeys(batch.pairKeys, rows),
        dropout: { seed, step: draw },
        lossScale: this.#scaling ? this.#lossScale.state.scale : 1,
      });
      const result = await this.#overReplicas(outcome);
      if (!this.#scaling && !Number.isFinite(result.loss))
        throw new FailedPreconditionError(
          `the loss of step ${step} is ${result.loss}; lower the learning rate (${learningRate}) or check the data`,
        );
      await this.#shareStatistics(outcome.statistics);
      // The last exchange: a replica that is lost before its end leaves the state as it was, one lost after it changes nothing.
      await sumOverReplicas(this.#arenas.gradients, this.#collectives);
      if (await this.#update(learningRate)) this.#updateRunningStatistics(outcome.statistics);
      const logitScale = await this.#clampLogitScale();
      return { ...result, logitScale, ...(this.#scaling && { lossScale: this.#lossScale.state }) };
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
    const { trained, fixed } = this.#arenas;
    const tensors = new Map([...(await trained.read()), ...(await fixed.read())]);
    const parameters = new Map(
      [...this.#parameters.keys()].map((name) => [name, tensors.get(name) as NdArray<'float32'>]),
    );
    return {
      parameters,
      optimizer: { step, expAvg: await expAvg.read(), expAvgSq: await expAvgSq.read() },
      ...(this.#scaling && { lossScale: this.#lossScale.state }),
    };
  }

  restore({ parameters, optimizer, lossScale }: TrainState): Promise<void> {
    return this.#exclusively(async () => {
      this.#lossScale = new LossScale(lossScale);
      this.#arenas.trained.load(parameters, 'parameter');
      this.#arenas.fixed.load(parameters, 'parameter');
      this.#optimizer.expAvg.load(optimizer.expAvg, 'exp_avg');
      this.#optimizer.expAvgSq.load(optimizer.expAvgSq, 'exp_avg_sq');
      this.#optimizer.step = optimizer.step;
    });
  }

  async dispose(): Promise<void> {
    await this.#gradients.dispose();
    await this.#optimizer.dispose();
    await this.#scaling?.dispose();
    for (const arena of Object.values(this.#arenas)) arena.dispose();
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

  #weights(): Record<string, RunArray> {
    return Object.fromEntries(this.#parameters);
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

  /** @returns whether there was an update: none in half precision when the gradients have overflowed. */
  async #update(learningRate: number): Promise<boolean> {
    const { trained, gradients } = this.#arenas;
    const { scale } = this.#scaling ? this.#lossScale.state : { scale: 1 };
    if (this.#scaling) {
      const hasOverflowed = !(await this.#scaling.isFinite(gradients));
      this.#lossScale.update(hasOverflowed);
      if (hasOverflowed && scale < MIN_LOSS_SCALE)
        throw new FailedPreconditionError(
          `the gradients of step ${this.#optimizer.step} are not finite with a loss scale of ${scale}; lower the learning rate (${learningRate}), check the data or train in fp32`,
        );
      if (hasOverflowed) return false;
    }
    await this.#optimizer.update(trained, gradients, learningRate, 1 / (scale * this.#collectives.worldSize));
    if (this.#options.precision === 'fp16') await roundToHalf(trained);
    return true;
  }

  /** All replicas run the same program: one of more rows, or with masks, when a single one's batch needs it. */
  async #agreeOnRows(pairs: number, hasKeys: boolean): Promise<{ rows: number; isPlain: boolean }> {
    const { batchSize, largestBatch = batchSize } = this.#options;
    const { worldSize } = this.#collectives;
    const isOwnPlain = pairs === batchSize && !hasKeys;
    const all = new Float32Array(2 * worldSize);
    await this.#collectives.allGather(Float32Array.of(pairs, isOwnPlain ? 0 : 1), all);
    const isPlain = all.every((value, i) => i % 2 === 0 || value === 0);
    const most = Math.max(...all.filter((_, i) => i % 2 === 0));
    return { rows: most <= batchSize ? batchSize : largestBatch, isPlain };
  }

  /** Of every pair that the loss is over. */
  #sharedKeys(own: NdArray<'int32'> | undefined, rows: number): Promise<NdArray<'int32'>> {
    const keys = own ?? uniqueKeys(rows, this.#collectives.rank, rows);
    const { aggregate = false } = this.#options.replicas ?? {};
    return aggregate ? gatherPairKeys(keys, this.#collectives) : Promise.resolve(keys);
  }

  /** Of each replica's own loss the mean; a loss over all pairs is the same on each. */
  async #overReplicas({ loss, imageToTextAccuracy, textToImageAccuracy }: BatchOutcome) {
    const { worldSize } = this.#collectives;
    if (worldSize === 1 || this.#options.replicas?.aggregate)
      return { loss, imageToTextAccuracy, textToImageAccuracy };
    const sums = Float32Array.of(loss, imageToTextAccuracy, textToImageAccuracy);
    await this.#collectives.allReduceSum(sums);
    const [meanLoss = 0, imageToText = 0, textToImage = 0] = sums.map((sum) => sum / worldSize);
    return { loss: meanLoss, imageToTextAccuracy: imageToText, textToImageAccuracy: textToImage };
  }

  /** Without shared statistics each replica has its own: rank 0's are everyone's, as torch's DDP has it. */
  async #shareStatistics(statistics: ReadonlyMap<string, Float32Array>): Promise<void> {
    if (this.#options.replicas?.syncBatchNorm) return;
    for (const values of statistics.values()) await this.#collectives.broadcast(values, 0);
  }

  #updateRunningStatistics(statistics: ReadonlyMap<string, Float32Array>): void {
    const { fixed } = this.#arenas;
    for (const [name, values] of statistics) fixed.write(name, values);
  }

  async #clampLogitScale(): Promise<number> {
    const { trained } = this.#arenas;
    const [value = 0] = (await trained.read(['logit_scale'])).get('logit_scale')?.data ?? [];
    const clamped = Math.min(MAX_LOGIT_SCALE, Math.max(MIN_LOGIT_SCALE, value));
    if (clamped !== value) trained.write('logit_scale', Float32Array.of(clamped));
    return Math.fround(clamped);
  }
}
