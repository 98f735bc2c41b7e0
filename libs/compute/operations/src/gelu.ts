import * as tf from '@tensorflow/tfjs-core';
import { fusedOr, type GradSaver, nth } from './fused-kernel.ts';

export const GELU_KERNEL = 'OnlineCnclipGelu';
export const QUICK_GELU_KERNEL = 'OnlineCnclipQuickGelu';

/** OpenAI CLIP's approximation of GELU: x sigmoid(1.702 x). */
export const QUICK_GELU_ALPHA = 1.702;

const INVERSE_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI);

export type ActivationKind = 'gelu' | 'quick-gelu';

export interface Activation {
  /** The value alone, without a gradient: for use inside `customGrad`. */
  value(x: tf.Tensor): tf.Tensor;
  /** The value again, and the derivative, from parts that the two share. */
  recompute(x: tf.Tensor): { readonly value: tf.Tensor; readonly slope: tf.Tensor };
}

const quickGeluActivation: Activation = {
  value: (x) =>
    nth(
      fusedOr(QUICK_GELU_KERNEL, { x }, {}, () => tf.mul(x, tf.sigmoid(tf.mul(x, QUICK_GELU_ALPHA)))),
      0,
    ),
  recompute: (x) => {
    const scaled = tf.mul(x, QUICK_GELU_ALPHA);
    const s = tf.sigmoid(scaled);
    return { value: tf.mul(x, s), slope: tf.mul(s, tf.add(tf.mul(scaled, tf.sub(1, s)), 1)) };
  },
};

const normalDistribution = (x: tf.Tensor): tf.Tensor =>
  tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);

const geluActivation: Activation = {
  value: (x) =>
    nth(
      fusedOr(GELU_KERNEL, { x }, {}, () => tf.mul(x, normalDistribution(x))),
      0,
    ),
  recompute: (x) => {
    const cumulative = normalDistribution(x);
    const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), INVERSE_SQRT_2PI);
    return { value: tf.mul(x, cumulative), slope: tf.add(cumulative, tf.mul(x, density)) };
  },
};

export const ACTIVATIONS: Readonly<Record<ActivationKind, Activation>> = {
  gelu: geluActivation,
  'quick-gelu': quickGeluActivation,
};

function differentiable(activation: Activation): (x: tf.Tensor) => tf.Tensor {
  return tf.customGrad((...args) => {
    const [x, save] = args as [tf.Tensor, GradSaver];
    save([x]);
    return {
      value: activation.value(x),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, activation.recompute(nth(saved, 0)).slope),
    };
  }) as (x: tf.Tensor) => tf.Tensor;
}

/** x Φ(x) with the exact normal distribution function (Hendrycks and Gimpel, 2016). */
export const gelu = differentiable(geluActivation);

/** x sigmoid(1.702 x). */
export const quickGelu = differentiable(quickGeluActivation);
