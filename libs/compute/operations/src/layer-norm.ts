import * as tf from '@tensorflow/tfjs-core';
import { fusedOr, type GradSaver, nth } from './fused-kernel.ts';

export const LAYER_NORM_KERNEL = 'OnlineCnclipLayerNorm';

/**
 * Layer normalisation over the last axis (Ba et al., 2016).
 *
 * @param x `[..., width]`
 * @param gamma `[width]`
 * @param beta `[width]`
 */
export function layerNorm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: number): tf.Tensor {
  const width = gamma.size;
  const rows = tf.util.sizeFromShape(x.shape) / width;
  return tf.reshape(normalizeRows(epsilon)(tf.reshape(x, [rows, width]), gamma, beta), x.shape);
}

function compose(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: number): tf.Tensor[] {
  const mean = tf.mean(x, -1, true);
  const centered = tf.sub(x, mean);
  const inverseDeviation = tf.rsqrt(tf.add(tf.mean(tf.square(centered), -1, true), epsilon));
  return [tf.add(tf.mul(tf.mul(centered, inverseDeviation), gamma), beta), mean, inverseDeviation];
}

function normalizeRows(epsilon: number) {
  return tf.customGrad((...args) => {
    const [x, gamma, beta, save] = args as [tf.Tensor2D, tf.Tensor1D, tf.Tensor1D, GradSaver];
    const outputs = fusedOr(LAYER_NORM_KERNEL, { x, gamma, beta }, { epsilon }, () =>
      compose(x, gamma, beta, epsilon),
    );
    save([x, gamma, nth(outputs, 1), nth(outputs, 2)]);
    return { value: nth(outputs, 0), gradFunc: gradient };
  });
}

/**
 * With h = (x - mean) r and d = dy gamma: dx = r (d - mean(d) - h mean(d h)). The row sums are products with a
 * vector, so that no more than five passes over the whole matrix are left.
 */
function gradient(dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] {
  const [x, gamma, mean, r] = saved as [tf.Tensor2D, tf.Tensor1D, tf.Tensor2D, tf.Tensor2D];
  const d = dy as tf.Tensor2D;
  const width = gamma.size;
  const column = tf.reshape(gamma, [width, 1]) as tf.Tensor2D;
  const product = tf.mul(d, x) as tf.Tensor2D;
  const sumD = tf.matMul(d, column);
  const sumDh = tf.mul(tf.sub(tf.matMul(product, column), tf.mul(mean, sumD)), r);
  const slope = tf.mul(tf.mul(tf.square(r), sumDh), -1 / width);
  const offset = tf.neg(tf.add(tf.mul(slope, mean), tf.mul(tf.mul(r, sumD), 1 / width)));
  const dx = tf.add(tf.add(tf.mul(tf.mul(d, gamma), r), tf.mul(x, slope)), offset);
  const dGamma = tf.sub(
    tf.matMul(product, r, true, false),
    tf.matMul(d, tf.mul(mean, r) as tf.Tensor2D, true, false),
  );
  return [dx, tf.reshape(dGamma, [width]), tf.sum(d, 0)];
}
