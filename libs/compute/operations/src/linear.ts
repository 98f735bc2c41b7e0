import * as tf from '@tensorflow/tfjs-core';
import { fusedOr, type GradSaver, nth } from './fused-kernel.ts';

export const LINEAR_KERNEL = 'OnlineCnclipLinear';

/**
 * y = x Wᵀ + b, with torch's layout of the weight.
 *
 * @param x `[..., in]`
 * @param weight `[out, in]`
 * @param bias `[out]`, or null
 * @returns `[..., out]`
 */
export function linear(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor | null): tf.Tensor {
  const [outputs = 0, inputs = 0] = weight.shape;
  const rows = tf.util.sizeFromShape(x.shape) / inputs;
  const flat = tf.reshape(x, [rows, inputs]);
  const y = bias
    ? affine(flat, weight, bias)
    : tf.matMul(flat as tf.Tensor2D, weight as tf.Tensor2D, false, true);
  return tf.reshape(y, [...x.shape.slice(0, -1), outputs]);
}

const affine = tf.customGrad((...args) => {
  const [x, weight, bias, save] = args as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D, GradSaver];
  const y = nth(
    fusedOr(LINEAR_KERNEL, { x, weight, bias }, {}, () => tf.add(tf.matMul(x, weight, false, true), bias)),
    0,
  );
  save([x, weight]);
  return {
    value: y,
    gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [x2, w] = saved as [tf.Tensor2D, tf.Tensor2D];
      const d = dy as tf.Tensor2D;
      return [tf.matMul(d, w), tf.matMul(d, x2, true, false), tf.sum(d, 0)];
    },
  };
});
