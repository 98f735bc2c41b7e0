import type { Collectives } from '@online-cnclip/collectives';
import type { NamedArrays, NdArray } from '@online-cnclip/foundation';
import type { ComputePrecision, ModelConfig } from '@online-cnclip/network';
import type { Runtime } from '@online-cnclip/runtime';

/** `dsl`: the dual softmax loss of the research code. `clip`: symmetric InfoNCE. */
export type LossKind = 'dsl' | 'clip';
export type OptimizerKind = 'lamb' | 'adamw';

export interface OptimizerOptions {
  readonly kind: OptimizerKind;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled; not applied to parameters whose name contains `bn`, `ln`, `bias` or `logit_scale`. */
  readonly weightDecay: number;
  /** Global norm that gradients are clipped at before the update; absent: not clipped. */
  readonly maxGradientNorm?: number;
}

/**
 * Which features the loss' gradient flows through. `own`: this replica's, those of others being constants, as in the research
 * code. The towers' averaged gradient is then 1 / world size of the one that a single replica has for the same global
 * batch, the logit scale's is the same. `all`: every replica's, which is the gradient of the global batch.
 */
export type FeatureGradients = 'own' | 'all';

export interface ReplicaSettings {
  readonly collectives: Collectives;
  /** Whether the loss is over the pairs of all replicas. */
  readonly aggregate: boolean;
  readonly featureGradients: FeatureGradients;
  /** Whether batch normalisation takes its statistics over all replicas. */
  readonly syncBatchNorm: boolean;
}

export interface TrainStepOptions {
  readonly config: ModelConfig;
  /** Starting values, by Chinese-CLIP's names; copied. */
  readonly parameters: NamedArrays;
  readonly runtime: Runtime;
  readonly batchSize: number;
  /** Most pairs that a step may get, where that is more than `batchSize`: online steps have a size of their own. */
  readonly largestBatch?: number;
  readonly contextLength: number;
  readonly loss: LossKind;
  readonly optimizer: OptimizerOptions;
  /** No gradient for the image tower; running statistics of batch normalisation stay as they are. */
  readonly freezeVision: boolean;
  /** Of dropout. */
  readonly seed: number;
  /**
   * Pairs that go through the towers at once; divides the batch. Absent: all of them. The gradients are the same; batch
   * normalisation has its statistics of each micro-batch by itself.
   */
  readonly microBatchSize?: number;
  /** Absent: fp32. */
  readonly precision?: TrainingPrecision;
  /** Absent: there is one replica. All have to start with the same values. */
  readonly replicas?: ReplicaSettings;
}

/** What a step may be told besides its batch. */
export interface StepChoices {
  /**
   * int32 `[pairs, 2]`: keys of each pair's image and text, 0 or more. Two pairs with an equal key in one column are not
   * each other's negatives; -1 says that a row is no pair. Absent: every pair is a stranger to the others.
   */
  readonly pairKeys?: NdArray<'int32'> | undefined;
  /** The number that dropout is drawn by, with the seed; absent: that of the updates made so far. */
  readonly draw?: number | undefined;
}

export interface TrainStepResult {
  readonly loss: number;
  /** The parameter after the step: the natural logarithm of what logits are multiplied by, within [0, 4.6052]. */
  readonly logitScale: number;
  /** Share of the batch, 0 to 1, whose own text is the nearest of the batch's texts. */
  readonly imageToTextAccuracy: number;
  /** Share of the batch, 0 to 1, whose own image is the nearest of the batch's images. */
  readonly textToImageAccuracy: number;
  /** After the step; there with a precision that needs it. A step that overflowed is counted and changes nothing else. */
  readonly lossScale?: LossScaleState;
}

/** In half precision the loss is scaled, so that gradients stay in its range. */
export type TrainingPrecision = ComputePrecision;

/** Of dynamic loss scaling. */
export interface LossScaleState {
  readonly scale: number;
  /** Steps since the scale last changed. */
  readonly goodSteps: number;
  /** Of the whole run. */
  readonly skippedSteps: number;
}

export interface OptimizerState {
  /** Updates made so far. */
  readonly step: number;
  readonly expAvg: NamedArrays;
  readonly expAvgSq: NamedArrays;
}

export interface TrainState {
  readonly parameters: NamedArrays;
  readonly optimizer: OptimizerState;
  readonly lossScale?: LossScaleState | undefined;
}

/** A model and its optimizer between two steps. Calls must not overlap. */
export interface TrainStep {
  /**
   * One update.
   *
   * @param images float32 `[pairs, 3, resolution, resolution]`, normalised; from 1 pair to a full batch.
   * @param inputIds int32 `[pairs, context]`, zero-padded.
   */
  run(
    images: NdArray<'float32'>,
    inputIds: NdArray<'int32'>,
    learningRate: number,
    choices?: StepChoices,
  ): Promise<TrainStepResult>;

  /** Features of unit length, float32 `[n, embed]`, with the parameters of now and without dropout; any batch size. */
  encodeImages(images: NdArray<'float32'>): Promise<NdArray<'float32'>>;

  /** Features of unit length, float32 `[n, embed]`, with the parameters of now and without dropout; any batch size. */
  encodeTexts(inputIds: NdArray<'int32'>): Promise<NdArray<'float32'>>;

  /** The live buffers: valid until the next step, never to be written to. */
  state(): Promise<TrainState>;

  /** Copies a saved state in. @throws InvalidInputError naming a tensor that is missing or of another shape. */
  restore(state: TrainState): Promise<void>;

  dispose(): Promise<void>;
}

export type CreateTrainStep = (options: TrainStepOptions) => Promise<TrainStep>;
