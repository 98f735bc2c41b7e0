// The fused operations in the textbook's words, differentiated by TFJS itself: what their own gradients must equal.
import * as tf from '@tensorflow/tfjs-core';

export function plainLayerNorm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: number): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const normalized = tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, epsilon)));
  return tf.add(tf.mul(normalized, gamma), beta);
}

export const plainGelu = (x: tf.Tensor): tf.Tensor =>
  tf.mul(tf.mul(x, 0.5), tf.add(1, tf.erf(tf.div(x, Math.SQRT2))));

export const plainQuickGelu = (x: tf.Tensor): tf.Tensor => tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));

export function plainLinear(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor | null): tf.Tensor {
  const [out = 0, width = 0] = weight.shape;
  const product = tf.matMul(tf.reshape(x, [-1, width]) as tf.Tensor2D, tf.transpose(weight) as tf.Tensor2D);
  return tf.reshape(bias ? tf.add(product, bias) : product, [...x.shape.slice(0, -1), out]);
}

/** One head after the other. */
export function plainAttention(
  [q, k, v]: readonly [tf.Tensor, tf.Tensor, tf.Tensor],
  heads: number,
  keyMask?: tf.Tensor,
  dropped: (probabilities: tf.Tensor, head: number) => tf.Tensor = (probabilities) => probabilities,
): tf.Tensor {
  const outputs = tf.split(q, heads, 2).map((query, head) => {
    const [key, value] = [k, v].map((x) => tf.split(x, heads, 2)[head]) as [tf.Tensor3D, tf.Tensor3D];
    const width = query.shape[2] as number;
    const scores = tf.div(tf.matMul(query as tf.Tensor3D, key, false, true), Math.sqrt(width));
    const absent = keyMask ? tf.expandDims(tf.sub(1, tf.cast(keyMask, 'float32')), 1) : tf.scalar(0);
    const probabilities = tf.softmax(tf.sub(scores, tf.mul(absent, 10_000)));
    return tf.matMul(dropped(probabilities, head) as tf.Tensor3D, value);
  });
  return tf.concat(outputs, 2);
}
