import type { Program, TensorSpec } from '@online-cnclip/tracer';
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from './config.ts';
import { encodeImage, imagesSpec, normalizeRows, weightSpecs } from './encoder-programs.ts';
import { contrastiveLoss, diagonalAccuracy, type LossKind } from './loss.ts';
import { type PairMask, pairKeysSpec, pairMask } from './pair-mask.ts';
import { bufferNames, parameterSpecs } from './parameters.ts';
import type { BatchNormMode } from './residual-network.ts';
import { at, type Tensors } from './tensors.ts';
import { textTransformer } from './text-transformer.ts';

export interface GradientProgramOptions {
  readonly config: ModelConfig;
  readonly batchSize: number;
  readonly loss: LossKind;
  readonly freezeVision: boolean;
  /** Whether the program takes `pair_keys`, which say what is a pair and what are duplicates. */
  readonly masked?: boolean;
}

/** Name of the gradient of a parameter among the program's outputs. */
export const gradientName = (parameter: string): string => `gradient:${parameter}`;
/** Name of the next running statistic among the program's outputs. */
export const updateName = (buffer: string): string => `update:${buffer}`;

export interface DropoutSpecs {
  /** bool `[1 + 2 layers, batch, 'length', hidden]` */
  readonly hidden: TensorSpec | null;
  /** bool `[layers, batch, heads, 'length', 'length']` */
  readonly attention: TensorSpec | null;
}

/** The masks that a training step of this model takes; null where its rate is zero. */
export function dropoutSpecs({ text }: ModelConfig, batchSize: number): DropoutSpecs {
  const { layers, hiddenSize, heads } = text;
  const mask = (name: string, shape: TensorSpec['shape']): TensorSpec => ({ name, dtype: 'bool', shape });
  return {
    hidden:
      text.hiddenDropout > 0 ? mask('keep_hidden', [1 + 2 * layers, batchSize, 'length', hiddenSize]) : null,
    attention:
      text.attentionDropout > 0
        ? mask('keep_attention', [layers, batchSize, heads, 'length', 'length'])
        : null,
  };
}

/** Parameters that this run trains: all but running statistics and, with a frozen image tower, `visual.*`. */
export function trainableNames(config: ModelConfig, freezeVision: boolean): string[] {
  const buffers = bufferNames(config);
  return [...parameterSpecs(config).keys()].filter(
    (name) => !buffers.has(name) && !(freezeVision && name.startsWith('visual.')),
  );
}

/**
 * Loss and gradients of one batch.
 *
 * Inputs: `images` float32 `[batch, 3, R, R]`, `input_ids` int32 `[batch, length]`, the dropout masks of
 * {@link dropoutSpecs}, every parameter by name, with `masked` the keys of {@link pairKeysSpec}. Outputs: `loss`, `image_to_text_accuracy`, `text_to_image_accuracy`,
 * `gradient:<name>` of each trained parameter, `update:<name>` of each running statistic.
 */
export function gradientProgram(options: GradientProgramOptions): Program {
  const { config, batchSize, freezeVision } = options;
  const { hidden, attention } = dropoutSpecs(config, batchSize);
  const masks = [hidden, attention].filter((spec) => spec !== null);
  const ids: TensorSpec = { name: 'input_ids', dtype: 'int32', shape: [batchSize, 'length'] };
  const keys = options.masked ? [pairKeysSpec(batchSize)] : [];
  const trained = trainableNames(config, freezeVision);
  return {
    name: options.masked ? 'masked-gradient' : 'gradient',
    inputs: [imagesSpec(config, batchSize), ids, ...masks, ...keys, ...weightSpecs(config)],
    build: (tensors) => differentiate(options, trained, tensors),
  };
}

function differentiate(
  options: GradientProgramOptions,
  trained: readonly string[],
  tensors: Tensors,
): Tensors {
  const updates = new Map<string, tf.Tensor>();
  const mask = options.masked ? pairMask(at(tensors, 'pair_keys')) : undefined;
  const observed: Record<string, tf.Tensor> = {};
  const loss = (...values: tf.Tensor[]): tf.Scalar => {
    const weights = {
      ...tensors,
      ...Object.fromEntries(trained.map((name, i) => [name, values[i] as tf.Tensor])),
    };
    const logits = forward(options, weights, updates, mask);
    observed['image_to_text_accuracy'] = tf.keep(diagonalAccuracy(logits, mask));
    observed['text_to_image_accuracy'] = tf.keep(diagonalAccuracy(tf.transpose(logits), mask));
    return contrastiveLoss(options.loss, logits, mask) as tf.Scalar;
  };
  const { value, grads } = tf.valueAndGrads(loss)(trained.map((name) => at(tensors, name)));
  return {
    loss: value,
    ...observed,
    ...Object.fromEntries(trained.map((name, i) => [gradientName(name), grads[i] as tf.Tensor])),
    ...Object.fromEntries([...updates].map(([name, update]) => [updateName(name), update])),
  };
}

function forward(
  options: GradientProgramOptions,
  weights: Tensors,
  updates: Map<string, tf.Tensor>,
  mask: PairMask | undefined,
): tf.Tensor {
  const { config, freezeVision } = options;
  const mode: BatchNormMode = freezeVision
    ? { kind: 'running' }
    : { kind: 'batch', updates, rows: mask?.rows };
  const images = normalizeRows(encodeImage(config.vision, weights, at(weights, 'images'), mode));
  const kept = { hidden: weights['keep_hidden'], attention: weights['keep_attention'] };
  const texts = normalizeRows(textTransformer(config.text, weights, at(weights, 'input_ids'), kept));
  const scaled = tf.mul(images, tf.exp(at(weights, 'logit_scale')));
  return tf.matMul(scaled as tf.Tensor2D, texts as tf.Tensor2D, false, true);
}
