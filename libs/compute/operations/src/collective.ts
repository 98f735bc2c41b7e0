// What replicas compute together, as operations of a program. A traced program is cut at them (see the tracer's
// stages.ts): the graph runs up to there, the replicas exchange, the rest goes on.
import * as tf from '@tensorflow/tfjs-core';
import { nth } from './fused-kernel.ts';

export const ALL_GATHER_KERNEL = 'OnlineCnclipAllGather';
export const ALL_REDUCE_KERNEL = 'OnlineCnclipAllReduceSum';

export interface ReplicaPlace {
  readonly rank: number;
  readonly worldSize: number;
}

const exchange = (kernel: string, x: tf.Tensor, attributes: tf.NamedAttrMap): tf.Tensor =>
  nth(tf.engine().runKernel<tf.Tensor[]>(kernel, { x }, attributes), 0);

/**
 * Every replica's rows, in the order of ranks. The gradient flows through the own rows only, as torch's `all_gather`
 * has it: those of other replicas are constants.
 *
 * @param x `[rows, width]`, the same shape on every replica
 * @param gradientScale what the gradient of the own rows is multiplied by
 * @returns `[worldSize * rows, width]`
 */
export function gatherRows(x: tf.Tensor2D, place: ReplicaPlace, gradientScale = 1): tf.Tensor2D {
  const { rank, worldSize } = place;
  const gather = tf.customGrad((...args) => {
    const rows = args[0] as tf.Tensor2D;
    return {
      value: exchange(ALL_GATHER_KERNEL, rows, { worldSize }),
      gradFunc: (dy: tf.Tensor) => {
        const own = tf.slice(dy, [rank * rows.shape[0], 0], [...rows.shape]);
        return gradientScale === 1 ? own : tf.mul(own, gradientScale);
      },
    };
  });
  return gather(x) as tf.Tensor2D;
}

/** The sum over replicas, element by element. So is its gradient: what a replica adds reaches the loss of each. */
export const sumOverReplicas = tf.customGrad((...args) => {
  const x = args[0] as tf.Tensor;
  return {
    value: exchange(ALL_REDUCE_KERNEL, x, {}),
    gradFunc: (dy: tf.Tensor) => exchange(ALL_REDUCE_KERNEL, dy, {}),
  };
}) as (x: tf.Tensor) => tf.Tensor;
