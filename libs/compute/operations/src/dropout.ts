import * as tf from '@tensorflow/tfjs-core';

/**
 * Dropout with a given mask, so that a step can be repeated exactly.
 *
 * @param keep bool, x's shape: which elements stay
 * @param rate the probability that the mask was drawn with; what stays is divided by 1 - rate
 */
export function dropout(x: tf.Tensor, keep: tf.Tensor, rate: number): tf.Tensor {
  return tf.mul(x, tf.mul(tf.cast(keep, 'float32'), 1 / (1 - rate)));
}
