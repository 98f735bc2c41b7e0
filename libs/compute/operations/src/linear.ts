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
  return overRows(x, weight, (rows) =>
    bias ? affine(rows, weight, bias) : tf.matMul(rows, weight as tf.Tensor2D, false, true),
  );
}

/** Applies a function of rows `[n, in]` -> `[n, out]` to the last axis of x. */
export function overRows(
  x: tf.Tensor,
  weight: tf.Tensor,
  apply: (rows: tf.Tensor2D) => tf.Tensor,
): tf.Tensor {
  const [outputs = 0, inputs = 0] = weight.shape;
  const rows = tf.util.sizeFromShape(x.shape) / inputs;
  return tf.reshape(apply(tf.reshape(x, [rows, inputs])), [...x.shape.slice(0, -1), outputs]);
}

/** The value alone, without a gradient: for use inside `customGrad`. */
export function affineValue(x: tf.Tensor2D, weight: tf.Tensor2D, bias: tf.Tensor1D): tf.Tensor {
  return nth(
    fusedOr(LINEAR_KERNEL, { x, weight, bias }, {}, () => tf.add(tf.matMul(x, weight, false, true), bias)),
    0,
  );
}

export interface AffineGradient {
  readonly x: tf.Tensor2D;
  readonly weight: tf.Tensor;
  readonly bias: tf.Tensor;
}

export function affineGradient(dy: tf.Tensor2D, x: tf.Tensor2D, weight: tf.Tensor2D): AffineGradient {
  return { x: tf.matMul(dy, weight), weight: tf.matMul(dy, x, true, false), bias: tf.sum(dy, 0) };
}

const affine = tf.customGrad((...args) => {
  const [x, weight, bias, save] = args as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D, GradSaver];
  save([x, weight]);
  return {
    value: affineValue(x, weight, bias),
    gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const gradient = affineGradient(
        dy as tf.Tensor2D,
        nth(saved, 0) as tf.Tensor2D,
        nth(saved, 1) as tf.Tensor2D,
      );
      return [gradient.x, gradient.weight, gradient.bias];
    },
  };
});
