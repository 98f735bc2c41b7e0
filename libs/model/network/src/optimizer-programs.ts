import type { Program, TensorSpec } from '@online-cnclip/tracer';
import * as tf from '@tensorflow/tfjs-core';
import { at, type Tensors } from './tensors.ts';

export type OptimizerKind = 'lamb' | 'adamw';

export interface Moments {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

// Optimizers work on runs of elements `[n]`, wherever tensors begin and end: `p` parameter, `g` gradient, `m` and `v` the
// running means of the gradient and of its square. Each reads an element before it writes it, so that outputs may go into
// the inputs' own buffers.
const elements = (name: string): TensorSpec => ({ name, dtype: 'float32', shape: ['n'] });
const number = (name: string): TensorSpec => ({ name, dtype: 'float32', shape: [] });

// Factors meet as scalars before they meet the elements: each pass over those costs.

function nextMoments(tensors: Tensors, { beta1, beta2 }: Moments): { m: tf.Tensor; v: tf.Tensor } {
  const [g, scale] = [at(tensors, 'g'), at(tensors, 'gradient_scale')];
  return {
    m: tf.add(tf.mul(at(tensors, 'm'), beta1), tf.mul(g, tf.mul(scale, 1 - beta1))),
    v: tf.add(tf.mul(at(tensors, 'v'), beta2), tf.mul(tf.square(g), tf.mul(tf.square(scale), 1 - beta2))),
  };
}

/** rate m̂ / (√v̂ + ε), where m̂ = m / c1 and v̂ = v / c2; `correction1` and `correction2` are c = 1 - β^t. */
function direction(m: tf.Tensor, v: tf.Tensor, tensors: Tensors, eps: number, rate?: tf.Tensor): tf.Tensor {
  const root = tf.sqrt(at(tensors, 'correction2'));
  const factor = tf.div(rate ? tf.mul(root, rate) : root, at(tensors, 'correction1'));
  return tf.mul(tf.div(m, tf.add(tf.sqrt(v), tf.mul(root, eps))), factor);
}

const MOMENT_INPUTS = [
  ...['p', 'g', 'm', 'v'].map(elements),
  ...['gradient_scale', 'correction1', 'correction2', 'weight_decay'].map(number),
];

/**
 * AdamW (Loshchilov and Hutter, 2019), as torch computes it: decoupled decay of lr x weight_decay, then the step. Inputs p, g,
 * m, v `[n]`, gradient_scale, correction1, correction2, weight_decay, learning_rate; outputs p, m, v.
 */
export function adamWProgram(moments: Moments): Program {
  return {
    name: 'adamw',
    inputs: [...MOMENT_INPUTS, number('learning_rate')],
    build: (tensors) => {
      const { m, v } = nextMoments(tensors, moments);
      const rate = at(tensors, 'learning_rate');
      const kept = tf.mul(at(tensors, 'p'), tf.sub(1, tf.mul(rate, at(tensors, 'weight_decay'))));
      const next = tf.sub(kept, direction(m, v, tensors, moments.eps, rate));
      return { new_p: next, new_m: m, new_v: v };
    },
  };
}

/**
 * First phase of LAMB (You et al., 2020; arithmetic of apex's FusedLAMB): the update before its trust ratio, and the sums of
 * squares that the ratio is made of. Outputs new_m, new_v, update `[n]`; parameter_square, update_square scalars.
 */
export function lambUpdateProgram(moments: Moments): Program {
  return {
    name: 'lamb-update',
    inputs: MOMENT_INPUTS,
    build: (tensors) => {
      const { m, v } = nextMoments(tensors, moments);
      const p = at(tensors, 'p');
      const update = tf.add(direction(m, v, tensors, moments.eps), tf.mul(p, at(tensors, 'weight_decay')));
      return {
        new_m: m,
        new_v: v,
        update,
        parameter_square: tf.sum(tf.square(p)),
        update_square: tf.sum(tf.square(update)),
      };
    },
  };
}

/** Second phase of LAMB: p - rate x update, where rate is the learning rate times the tensor's trust ratio. */
export function lambApplyProgram(): Program {
  return {
    name: 'lamb-apply',
    inputs: [elements('p'), elements('update'), number('rate')],
    build: (tensors) => ({
      new_p: tf.sub(at(tensors, 'p'), tf.mul(at(tensors, 'update'), at(tensors, 'rate'))),
    }),
  };
}

/** The sum of squares of a run of elements `x [n]`; output `square`, a scalar. */
export function squareSumProgram(): Program {
  return {
    name: 'square-sum',
    inputs: [elements('x')],
    build: (tensors) => ({ square: tf.sum(tf.square(at(tensors, 'x'))) }),
  };
}
