// GradCache (Gao et al., 2021): the gradient of a batch whose activations do not fit into memory at once. Features of
// all micro-batches come first, then the loss' gradient by the features, then for each micro-batch once more
// its forward and its backward pass, from that gradient on. The last one's activations may stay: the gradient program, given
// the features of the others, is then its part of all three.
import type { Precision, Program, TensorSpec } from '@online-cnclip/tracer';
import * as tf from '@tensorflow/tfjs-core';
import { weightSpecs } from './encoder-programs.ts';
import {
  batchNormMode,
  type GradientProgramOptions,
  gradientName,
  LOSS_SCALE,
  observe,
  trainableNames,
  updateName,
} from './gradient-program.ts';
import { contrastiveLoss, type LossKind } from './loss.ts';
import { imageFeatures, imageInputs, pairLogits, textFeatures, textInputs } from './pair-features.ts';
import { pairKeysSpec, pairMask } from './pair-mask.ts';
import { at, type Tensors } from './tensors.ts';
import { variablesOf, WORD_EMBEDDINGS } from './word-rows.ts';

export type MicroBatchOptions = Pick<
  GradientProgramOptions,
  'config' | 'freezeVision' | 'precision' | 'wordRows'
> & {
  readonly microBatchSize: number;
  /** Whether the programs take `pair_rows`, float32 `[micro-batch]`: 0 for a row that is no pair. */
  readonly masked?: boolean;
};

const isWeightOfTowers = (name: string): boolean => name !== 'logit_scale';

const rowsSpec = ({ microBatchSize, masked }: MicroBatchOptions): TensorSpec[] =>
  masked ? [{ name: 'pair_rows', dtype: 'float32', shape: [microBatchSize] }] : [];

/**
 * First: the features of one micro-batch, as the training step has them (dropout, batch statistics). Inputs as those of
 * {@link gradientProgram}; outputs `image_features` and `text_features` float32 `[micro-batch, embed]`, of unit length.
 */
export function featuresProgram(options: MicroBatchOptions): Program {
  const { config, microBatchSize, precision } = options;
  return {
    name: 'features',
    inputs: [
      ...imageInputs(config, microBatchSize),
      ...textInputs(config, microBatchSize),
      ...rowsSpec(options),
      ...weightSpecs(config, isWeightOfTowers),
    ],
    ...(precision && { precision }),
    build: (tensors) => ({
      image_features: imageFeatures(config, tensors, modeOf(options, tensors, new Map())),
      text_features: textFeatures(config, tensors),
    }),
  };
}

export interface FeatureLossOptions {
  readonly loss: LossKind;
  /** Of all replicas where the loss is over them. */
  readonly pairs: number;
  readonly embedDim: number;
  readonly masked?: boolean;
  readonly lossScaled?: boolean;
  readonly precision?: Precision;
}

/**
 * Second: the loss of a whole batch by its features. Inputs `image_features`, `text_features` float32 `[pairs, embed]`,
 * `logit_scale`, with `masked` `pair_keys`, with `lossScaled` the scale. Outputs: what the gradient program says of
 * the batch, `gradient:image_features`, `gradient:text_features`, `gradient:logit_scale`.
 */
export function featureLossProgram(options: FeatureLossOptions): Program {
  const { loss: kind, pairs, embedDim, masked, lossScaled, precision } = options;
  const features = (name: string): TensorSpec => ({ name, dtype: 'float32', shape: [pairs, embedDim] });
  const names = ['image_features', 'text_features', 'logit_scale'];
  return {
    name: 'feature-loss',
    inputs: [
      features('image_features'),
      features('text_features'),
      { name: 'logit_scale', dtype: 'float32', shape: [] },
      ...(masked ? [pairKeysSpec(pairs)] : []),
      ...(lossScaled ? [LOSS_SCALE] : []),
    ],
    ...(precision && { precision }),
    build: (tensors) => {
      const mask = masked ? pairMask(at(tensors, 'pair_keys')) : undefined;
      const observed: Record<string, tf.Tensor> = {};
      const minimised = (images: tf.Tensor, texts: tf.Tensor, scale: tf.Tensor): tf.Scalar => {
        const logits = pairLogits({ images: images as tf.Tensor2D, texts: texts as tf.Tensor2D }, scale);
        const loss = contrastiveLoss(kind, logits, mask) as tf.Scalar;
        Object.assign(observed, observe(logits, loss, mask));
        return lossScaled ? tf.mul(loss, at(tensors, LOSS_SCALE.name)) : loss;
      };
      const { grads } = tf.valueAndGrads(minimised as (...inputs: tf.Tensor[]) => tf.Scalar)(
        names.map((name) => at(tensors, name)),
      );
      return {
        ...observed,
        ...Object.fromEntries(names.map((name, i) => [gradientName(name), grads[i] as tf.Tensor])),
      };
    },
  };
}

/** Name of what the gradient of a parameter is added to, among the program's inputs. */
export const accumulatedName = (parameter: string): string => `accumulated:${parameter}`;

/**
 * Third: forward and backward pass of one micro-batch. Inputs: those of {@link featuresProgram}, less the images where their
 * tower is frozen; the gradients by the features, `gradient:image_features` and `gradient:text_features`;
 * `accumulated:<name>` of each trained parameter but the logit scale. Outputs: `gradient:<name>`, which is the accumulated
 * one plus this micro-batch's and may be written over it, with `wordRows` `gradient:word_rows` of this micro-batch alone, and
 * `update:<name>` of each running statistic.
 */
export function microBatchGradientProgram(options: MicroBatchOptions): Program {
  const { config, freezeVision, microBatchSize, precision } = options;
  const trained = trainableNames(config, freezeVision).filter(isWeightOfTowers);
  const isAccumulated = (name: string) =>
    trained.includes(name) && !(options.wordRows && name === WORD_EMBEDDINGS);
  const isNeeded = (name: string) => isWeightOfTowers(name) && !(freezeVision && name.startsWith('visual.'));
  const weights = weightSpecs(config, isNeeded);
  const towers = freezeVision ? ['text_features'] : ['image_features', 'text_features'];
  const shape = [microBatchSize, config.vision.embedDim];
  return {
    name: 'micro-batch-gradient',
    inputs: [
      ...(freezeVision ? [] : [...imageInputs(config, microBatchSize), ...rowsSpec(options)]),
      ...textInputs(config, microBatchSize),
      ...towers.map((name): TensorSpec => ({ name: gradientName(name), dtype: 'float32', shape })),
      ...weights,
      ...weights
        .filter(({ name }) => isAccumulated(name))
        .map((spec) => ({ ...spec, name: accumulatedName(spec.name) })),
    ],
    ...(precision && { precision }),
    build: (tensors) => accumulate(options, trained, tensors),
  };
}

function accumulate(options: MicroBatchOptions, trained: readonly string[], tensors: Tensors): Tensors {
  const { config, freezeVision } = options;
  const updates = new Map<string, tf.Tensor>();
  const variables = variablesOf(tensors, trained, options.wordRows ?? false);
  const names = Object.keys(variables);
  // Its gradient by the parameters is the loss', by the chain rule; its value means nothing.
  const surrogate = (...values: tf.Tensor[]): tf.Scalar => {
    const weights = {
      ...tensors,
      ...Object.fromEntries(names.map((name, i) => [name, values[i] as tf.Tensor])),
    };
    const along = (features: tf.Tensor, name: string) =>
      tf.sum(tf.mul(features, at(tensors, gradientName(name))));
    const texts = along(textFeatures(config, weights), 'text_features');
    if (freezeVision) return texts as tf.Scalar;
    const images = imageFeatures(config, weights, modeOf(options, tensors, updates));
    return tf.add(along(images, 'image_features'), texts) as tf.Scalar;
  };
  const { grads } = tf.valueAndGrads(surrogate)(Object.values(variables));
  const sums = names.map((name, i) => {
    const [gradient, accumulated] = [grads[i] as tf.Tensor, tensors[accumulatedName(name)]];
    return [gradientName(name), accumulated ? tf.add(accumulated, gradient) : gradient];
  });
  return {
    ...Object.fromEntries(sums),
    ...Object.fromEntries([...updates].map(([name, update]) => [updateName(name), update])),
  };
}

const modeOf = ({ freezeVision }: MicroBatchOptions, tensors: Tensors, updates: Map<string, tf.Tensor>) =>
  batchNormMode({ freezeVision }, updates, tensors['pair_rows'] as tf.Tensor1D | undefined);
