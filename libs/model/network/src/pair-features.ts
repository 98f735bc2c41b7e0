// A batch's pairs through both towers, up to their logits: what the programs of a training step share.
import { gatherRows, type ReplicaPlace } from '@online-cnclip/operations';
import type { TensorSpec } from '@online-cnclip/tracer';
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from './config.ts';
import { encodeImage, imagesSpec, normalizeRows } from './encoder-programs.ts';
import type { BatchNormMode } from './residual-network.ts';
import { at, type Tensors } from './tensors.ts';
import { textTransformer } from './text-transformer.ts';

/** This replica among the others of a training step. */
export interface ReplicaOptions extends ReplicaPlace {
  /** Whether the loss is over the pairs of all replicas, or over each one's own. */
  readonly aggregate: boolean;
  /** What the gradient by the own features is multiplied by. */
  readonly featureGradientScale: number;
  /** Whether batch normalisation takes its statistics over all replicas. */
  readonly syncBatchNorm: boolean;
}

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

export const imageInputs = (config: ModelConfig, batchSize: number): TensorSpec[] => [
  imagesSpec(config, batchSize),
];

/** `input_ids` int32 `[batch, 'length']` and the masks of dropout. */
export function textInputs(config: ModelConfig, batchSize: number): TensorSpec[] {
  const { hidden, attention } = dropoutSpecs(config, batchSize);
  const ids: TensorSpec = { name: 'input_ids', dtype: 'int32', shape: [batchSize, 'length'] };
  return [ids, ...[hidden, attention].filter((spec) => spec !== null)];
}

/** Rows of unit length, `[pairs, embed]` each. */
export interface PairFeatures {
  readonly images: tf.Tensor2D;
  readonly texts: tf.Tensor2D;
}

export function imageFeatures(config: ModelConfig, weights: Tensors, mode: BatchNormMode): tf.Tensor2D {
  return normalizeRows(encodeImage(config.vision, weights, at(weights, 'images'), mode)) as tf.Tensor2D;
}

export function textFeatures(config: ModelConfig, weights: Tensors): tf.Tensor2D {
  const kept = { hidden: weights['keep_hidden'], attention: weights['keep_attention'] };
  return normalizeRows(textTransformer(config.text, weights, at(weights, 'input_ids'), kept)) as tf.Tensor2D;
}

/** The features of every replica's pairs, in the order of ranks, in one exchange. */
export function gatherFeatures({ images, texts }: PairFeatures, replicas: ReplicaOptions): PairFeatures {
  const both = gatherRows(tf.concat([images, texts], 1), replicas, replicas.featureGradientScale);
  const [allImages, allTexts] = tf.split(both, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
  return { images: allImages, texts: allTexts };
}

/** `[pairs, pairs]`: one row per image. */
export function pairLogits({ images, texts }: PairFeatures, logitScale: tf.Tensor): tf.Tensor {
  return tf.matMul(tf.mul(images, tf.exp(logitScale)) as tf.Tensor2D, texts, false, true);
}
