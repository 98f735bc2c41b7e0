import * as tf from '@tensorflow/tfjs-core';
import { fusedOr, type GradSaver, nth } from './fused-kernel.ts';

export const GELU_KERNEL = 'OnlineCnclipGelu';
export const QUICK_GELU_KERNEL = 'OnlineCnclipQuickGelu';

/** OpenAI CLIP's approximation of GELU: x sigmoid(1.702 x). */
export const QUICK_GELU_ALPHA = 1.702;

const INVERSE_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI);

/** x Φ(x) with the exact normal distribution function (Hendrycks and Gimpel, 2016). */
export const gelu = tf.customGrad((...args) => {
  const [x, save] = args as [tf.Tensor, GradSaver];
  const [y] = fusedOr(GELU_KERNEL, { x }, {}, () => tf.mul(x, normalDistribution(x)));
  save([x]);
  return {
    value: y as tf.Tensor,
    gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const input = nth(saved, 0);
      const density = tf.mul(tf.exp(tf.mul(tf.square(input), -0.5)), INVERSE_SQRT_2PI);
      return tf.mul(dy, tf.add(normalDistribution(input), tf.mul(input, density)));
    },
  };
}) as (x: tf.Tensor) => tf.Tensor;

const normalDistribution = (x: tf.Tensor): tf.Tensor =>
  tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);

/** x sigmoid(1.702 x). */
export const quickGelu = tf.customGrad((...args) => {
  const [x, save] = args as [tf.Tensor, GradSaver];
  const [y] = fusedOr(QUICK_GELU_KERNEL, { x }, {}, () => tf.mul(x, tf.sigmoid(tf.mul(x, QUICK_GELU_ALPHA))));
  save([x]);
  return {
    value: y as tf.Tensor,
    gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const scaled = tf.mul(nth(saved, 0), QUICK_GELU_ALPHA);
      const s = tf.sigmoid(scaled);
      return tf.mul(dy, tf.mul(s, tf.add(tf.mul(scaled, tf.sub(1, s)), 1)));
    },
  };
}) as (x: tf.Tensor) => tf.Tensor;
