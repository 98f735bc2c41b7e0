// Operations on sequences whose length may be symbolic while a program is traced: TFJS's own gradients of a slice
// would write (whole length - slice) into the graph as a constant.
import * as tf from '@tensorflow/tfjs-core';

/** 0, 1, ... along the second axis: int32 `[length]` for x `[batch, length, ...]`. */
export function positionsOf(x: tf.Tensor): tf.Tensor1D {
  const length = x.shape[1] as number;
  const ones = tf.fill([length], 1, 'int32');
  return tf.cumsum(ones, 0, true) as tf.Tensor1D;
}

/** The first position of every sequence: `[batch, length, width]` -> `[batch, width]`. */
export const firstToken = tf.customGrad((...args) => {
  const x = args[0] as tf.Tensor3D;
  const [batch, length, width] = x.shape;
  const value = tf.reshape(tf.slice(x, [0, 0, 0], [batch, 1, width]), [batch, width]);
  const gradFunc = (dy: tf.Tensor) => {
    const isFirst = tf.cast(tf.equal(positionsOf(x), tf.scalar(0, 'int32')), 'float32');
    return tf.mul(tf.reshape(dy, [batch, 1, width]), tf.reshape(isFirst, [1, length, 1]));
  };
  return { value, gradFunc };
}) as (x: tf.Tensor) => tf.Tensor;
