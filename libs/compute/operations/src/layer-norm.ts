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

export interface LayerNormOutputs {
  readonly y: tf.Tensor2D;
  /** `[rows, 1]` */
  readonly mean: tf.Tensor2D;
  /** 1 / √(variance + ε), `[rows, 1]` */
  readonly inverseDeviation: tf.Tensor2D;
}

/** The value alone, without a gradient: for use inside `customGrad`. x is `[rows, width]`. */
export function layerNormOutputs(
  x: tf.Tensor2D,
  gamma: tf.Tensor1D,
  beta: tf.Tensor1D,
  epsilon: number,
): LayerNormOutputs {
  const [y, mean, inverseDeviation] = fusedOr(LAYER_NORM_KERNEL, { x, gamma, beta }, { epsilon }, () =>
    compose(x, gamma, beta, epsilon),
  ) as tf.Tensor2D[];
  return { y, mean, inverseDeviation } as LayerNormOutputs;
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
    const { y, mean, inverseDeviation } = layerNormOutputs(x, gamma, beta, epsilon);
    save([x, gamma, mean, inverseDeviation]);
    return {
      value: y,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [x2, g, m, r] = [0, 1, 2, 3].map((i) => nth(saved, i));
        const gradient = layerNormGradient(
          dy as tf.Tensor2D,
          x2 as tf.Tensor2D,
          g as tf.Tensor1D,
          m as tf.Tensor2D,
          r as tf.Tensor2D,
        );
        return [gradient.x, gradient.gamma, gradient.beta];
      },
    };
  });
}

export interface LayerNormGradient {
  readonly x: tf.Tensor;
  readonly gamma: tf.Tensor;
  readonly beta: tf.Tensor;
}

/**
 * With h = (x - mean) r and d = dy gamma: dx = r (d - mean(d) - h mean(d h)). The row sums are products with a
 * vector, so that no more than five passes over the whole matrix are left.
 *
 * @param r 1 / √(variance + ε), `[rows, 1]`
 */
export function layerNormGradient(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  gamma: tf.Tensor1D,
  mean: tf.Tensor2D,
  r: tf.Tensor2D,
): LayerNormGradient {
  const width = gamma.size;
  const column = tf.reshape(gamma, [width, 1]) as tf.Tensor2D;
  const product = tf.mul(dy, x) as tf.Tensor2D;
  const sumD = tf.matMul(dy, column);
  const sumDh = tf.mul(tf.sub(tf.matMul(product, column), tf.mul(mean, sumD)), r);
  const slope = tf.mul(tf.mul(tf.square(r), sumDh), -1 / width);
  const offset = tf.neg(tf.add(tf.mul(slope, mean), tf.mul(tf.mul(r, sumD), 1 / width)));
  const dx = tf.add(tf.add(tf.mul(tf.mul(dy, gamma), r), tf.mul(x, slope)), offset);
  const weighted = tf.matMul(dy, tf.mul(mean, r) as tf.Tensor2D, true, false);
  const dGamma = tf.sub(tf.matMul(product, r, true, false), weighted);
  return { x: dx, gamma: tf.reshape(dGamma, [width]), beta: tf.sum(dy, 0) };
}
