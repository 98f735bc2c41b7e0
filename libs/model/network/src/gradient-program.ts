import type { Precision, Program, TensorSpec } from '@online-cnclip/tracer';
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from './config.ts';
import { weightSpecs } from './encoder-programs.ts';
import { contrastiveLoss, diagonalAccuracy, type LossKind } from './loss.ts';
import {
  gatherFeatures,
  imageFeatures,
  imageInputs,
  type PairFeatures,
  pairLogits,
  type ReplicaOptions,
  textFeatures,
  textInputs,
} from './pair-features.ts';
import { type PairMask, pairKeysSpec, pairMask, rowsAt } from './pair-mask.ts';
import { bufferNames, parameterSpecs } from './parameters.ts';
import type { BatchNormMode } from './residual-network.ts';
import { at, type Tensors } from './tensors.ts';
import { variablesOf } from './word-rows.ts';

export interface GradientProgramOptions {
  readonly config: ModelConfig;
  readonly batchSize: number;
  readonly loss: LossKind;
  readonly freezeVision: boolean;
  /** Whether the program takes `pair_keys`, which say what is a pair and what are duplicates. */
  readonly masked?: boolean;
  /** Absent: there is one replica. */
  readonly replicas?: ReplicaOptions;
  /** Whether the program takes `loss_scale`, a scalar that gradients are multiplied by. */
  readonly lossScaled?: boolean;
  readonly precision?: Precision;
  /** Whether the gradient by the words' embeddings comes as `gradient:word_rows`, one row per token, not as a matrix. */
  readonly wordRows?: boolean;
  /** How many pairs stand before the batch's whose features are inputs, as {@link GIVEN_FEATURES} (default: none). */
  readonly givenPairs?: number;
}

/** float32 `[given, embed]`, of unit length: features that were computed before, and are differentiated by. */
export const GIVEN_FEATURES = ['given_images', 'given_texts'] as const;

/** Name of the gradient of a parameter among the program's outputs. */
export const gradientName = (parameter: string): string => `gradient:${parameter}`;
/** Name of the next running statistic among the program's outputs. */
export const updateName = (buffer: string): string => `update:${buffer}`;

/** Parameters that this run trains: all but running statistics and, with a frozen image tower, `visual.*`. */
export function trainableNames(config: ModelConfig, freezeVision: boolean): string[] {
  const buffers = bufferNames(config);
  return [...parameterSpecs(config).keys()].filter(
    (name) => !buffers.has(name) && !(freezeVision && name.startsWith('visual.')),
  );
}

export const LOSS_SCALE: TensorSpec = { name: 'loss_scale', dtype: 'float32', shape: [] };

/**
 * Loss and gradients of one batch.
 *
 * Inputs: `images` float32 `[batch, 3, R, R]`, `input_ids` int32 `[batch, length]`, the dropout masks of
 * {@link dropoutSpecs}, every parameter by name, with `masked` the keys of {@link pairKeysSpec} (of all replicas' pairs where
 * the loss is over them), with `lossScaled` the scale, with given pairs their features. Outputs: `loss`, `image_to_text_accuracy`,
 * `text_to_image_accuracy`, `gradient:<name>` of each trained parameter and of given features (of a frozen tower's: none),
 * `update:<name>` of each running statistic.
 */
export function gradientProgram(options: GradientProgramOptions): Program {
  const { config, batchSize, freezeVision, replicas, givenPairs = 0 } = options;
  const own = givenPairs + batchSize;
  const pairs = replicas?.aggregate ? replicas.worldSize * own : own;
  const trained = trainableNames(config, freezeVision);
  return {
    name: options.masked ? 'masked-gradient' : 'gradient',
    inputs: [
      ...imageInputs(config, batchSize),
      ...textInputs(config, batchSize),
      ...(options.masked ? [pairKeysSpec(pairs)] : []),
      ...(options.lossScaled ? [LOSS_SCALE] : []),
      ...givenSpecs(options),
      ...weightSpecs(config),
    ],
    ...(options.precision && { precision: options.precision }),
    build: (tensors) => differentiate(options, trained, tensors),
  };
}

function givenSpecs({ config, givenPairs = 0 }: GradientProgramOptions): TensorSpec[] {
  if (givenPairs === 0) return [];
  const shape = [givenPairs, config.vision.embedDim];
  return GIVEN_FEATURES.map((name) => ({ name, dtype: 'float32', shape }));
}

function differentiate(
  options: GradientProgramOptions,
  trained: readonly string[],
  tensors: Tensors,
): Tensors {
  const updates = new Map<string, tf.Tensor>();
  const mask = options.masked ? pairMask(at(tensors, 'pair_keys')) : undefined;
  const observed: Record<string, tf.Tensor> = {};
  const given = givenSpecs(options).filter(({ name }) => !(options.freezeVision && name === 'given_images'));
  const variables = {
    ...variablesOf(tensors, trained, options.wordRows ?? false),
    ...Object.fromEntries(given.map(({ name }) => [name, at(tensors, name)])),
  };
  const names = Object.keys(variables);
  const minimised = (...values: tf.Tensor[]): tf.Scalar => {
    const weights = {
      ...tensors,
      ...Object.fromEntries(names.map((name, i) => [name, values[i] as tf.Tensor])),
    };
    const logits = forward(options, weights, updates, mask);
    const loss = contrastiveLoss(options.loss, logits, mask) as tf.Scalar;
    Object.assign(observed, observe(logits, loss, mask));
    return options.lossScaled ? tf.mul(loss, at(tensors, LOSS_SCALE.name)) : loss;
  };
  const { grads } = tf.valueAndGrads(minimised)(Object.values(variables));
  return {
    ...observed,
    ...Object.fromEntries(names.map((name, i) => [gradientName(name), grads[i] as tf.Tensor])),
    ...Object.fromEntries([...updates].map(([name, update]) => [updateName(name), update])),
  };
}

/** What a training step says of its batch. Kept: TFJS disposes of what a differentiated function does not return. */
export function observe(logits: tf.Tensor, loss: tf.Scalar, mask: PairMask | undefined): Tensors {
  return {
    loss: tf.keep(loss),
    image_to_text_accuracy: tf.keep(diagonalAccuracy(logits, mask)),
    text_to_image_accuracy: tf.keep(diagonalAccuracy(tf.transpose(logits), mask)),
  };
}

function forward(
  options: GradientProgramOptions,
  weights: Tensors,
  updates: Map<string, tf.Tensor>,
  mask: PairMask | undefined,
): tf.Tensor {
  const { config, replicas, batchSize, givenPairs = 0 } = options;
  const rank = replicas?.aggregate ? replicas.rank : 0;
  const rows = mask && rowsAt(mask, rank * (givenPairs + batchSize) + givenPairs, batchSize);
  const computed = {
    images: imageFeatures(config, weights, batchNormMode(options, updates, rows)),
    texts: textFeatures(config, weights),
  };
  const own = givenPairs > 0 ? behindGiven(weights, computed) : computed;
  const features = replicas?.aggregate ? gatherFeatures(own, replicas) : own;
  return pairLogits(features, at(weights, 'logit_scale'));
}

function behindGiven(tensors: Tensors, { images, texts }: PairFeatures): PairFeatures {
  const [givenImages, givenTexts] = GIVEN_FEATURES.map((name) => at(tensors, name) as tf.Tensor2D) as [
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  return { images: tf.concat([givenImages, images], 0), texts: tf.concat([givenTexts, texts], 0) };
}

/** A frozen image tower is evaluated as it was trained: with its running statistics. */
export function batchNormMode(
  { freezeVision, replicas }: Pick<GradientProgramOptions, 'freezeVision' | 'replicas'>,
  updates: Map<string, tf.Tensor>,
  rows: tf.Tensor1D | undefined,
): BatchNormMode {
  if (freezeVision) return { kind: 'running' };
  const replicaCount = replicas?.syncBatchNorm ? replicas.worldSize : 1;
  return { kind: 'batch', updates, rows, replicaCount };
}
