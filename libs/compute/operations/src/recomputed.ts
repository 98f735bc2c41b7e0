// A linear layer together with the cheap operation before it. The gradient computes that operation's result again
// instead of keeping it from the forward pass: memory for a little time. What is computed again is composed of other
// nodes than the forward pass used, or an optimizer would find the two equal and keep the first alive after all.
import * as tf from '@tensorflow/tfjs-core';
import type { GradSaver } from './fused-kernel.ts';
import { ACTIVATIONS, type ActivationKind } from './gelu.ts';
import { layerNormGradient, layerNormOutputs } from './layer-norm.ts';
import { affineGradient, affineValue, overRows } from './linear.ts';

/**
 * linear(activation(x), weight, bias).
 *
 * @param x `[..., in]`
 * @param weight `[out, in]`
 * @param bias `[out]`
 */
export function activatedLinear(
  kind: ActivationKind,
  x: tf.Tensor,
  weight: tf.Tensor,
  bias: tf.Tensor,
): tf.Tensor {
  const activation = ACTIVATIONS[kind];
  const run = tf.customGrad((...args) => {
    const [rows, w, b, save] = args as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D, GradSaver];
    save([rows, w]);
    return {
      value: affineValue(activation.value(rows) as tf.Tensor2D, w, b),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [input, matrix] = saved as [tf.Tensor2D, tf.Tensor2D];
        const { value, slope } = activation.recompute(input);
        const gradient = affineGradient(dy as tf.Tensor2D, value as tf.Tensor2D, matrix);
        return [tf.mul(gradient.x, slope), gradient.weight, gradient.bias];
      },
    };
  });
  return overRows(x, weight, (rows) => run(rows, weight, bias));
}

/**
 * linear(layerNorm(x, gamma, beta), weight, bias).
 *
 * @param x `[..., in]`
 * @param gamma `[in]`
 * @param beta `[in]`
 * @param weight `[out, in]`
 * @param bias `[out]`
 */
export function normalizedLinear(
  x: tf.Tensor,
  norm: { readonly gamma: tf.Tensor; readonly beta: tf.Tensor; readonly epsilon: number },
  weight: tf.Tensor,
  bias: tf.Tensor,
): tf.Tensor {
  const run = tf.customGrad((...args) => {
    const [rows, gamma, beta, w, b, save] = args as [
      tf.Tensor2D,
      tf.Tensor1D,
      tf.Tensor1D,
      tf.Tensor2D,
      tf.Tensor1D,
      GradSaver,
    ];
    const { y, mean, inverseDeviation } = layerNormOutputs(rows, gamma, beta, norm.epsilon);
    save([rows, gamma, beta, w, mean, inverseDeviation]);
    return { value: affineValue(y, w, b), gradFunc: normalizedLinearGradient };
  });
  return overRows(x, weight, (rows) => run(rows, norm.gamma, norm.beta, weight, bias));
}

function normalizedLinearGradient(dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] {
  const [x, gamma, beta, weight, mean, r] = saved as [
    tf.Tensor2D,
    tf.Tensor1D,
    tf.Tensor1D,
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  const y = tf.add(tf.mul(tf.mul(tf.sub(x, mean), r), gamma), beta) as tf.Tensor2D;
  const linear = affineGradient(dy as tf.Tensor2D, y, weight);
  const norm = layerNormGradient(linear.x, x, gamma, mean, r);
  return [norm.x, norm.gamma, norm.beta, linear.weight, linear.bias];
}
