import type { TensorSpec } from '@online-cnclip/tracer';
import * as tf from '@tensorflow/tfjs-core';

/** In the place of both keys of a row that is no pair. */
export const NO_PAIR = -1;

/** Added to a logit that takes no part: what exp() makes of it is exactly 0, and no sum of such overflows. */
const EXCLUDED = -1e9;

/**
 * Of each row of a batch a key of its image and a key of its text, int32 `[batch, 2]`: equal keys say the same image
 * or text, {@link NO_PAIR} that the row is no pair at all.
 */
export const pairKeysSpec = (batchSize: number): TensorSpec => ({
  name: 'pair_keys',
  dtype: 'int32',
  shape: [batchSize, 2],
});

/** Which images and texts of a batch meet in the loss. */
export interface PairMask {
  /** float32 `[batch, batch]`, symmetric: 1 where an image and a text meet, else 0; its diagonal marks the pairs. */
  readonly meets: tf.Tensor2D;
  /** float32 `[batch]`: 1 for each pair, 0 for a row that is none. */
  readonly rows: tf.Tensor1D;
}

/** Rows that are no pairs meet nothing; two pairs with the same image or text meet themselves only. */
export function pairMask(keys: tf.Tensor): PairMask {
  const size = keys.shape[0] as number;
  const column = (index: number) => tf.slice(keys, [0, index], [-1, 1]);
  const same = (index: number) =>
    tf.cast(tf.equal(column(index), tf.reshape(column(index), [1, size])), 'float32');
  const rows = tf.cast(tf.greaterEqual(column(0), tf.scalar(0, 'int32')), 'float32');
  const others = tf.sub(1, tf.eye(size));
  const strangers = tf.sub(1, tf.mul(tf.maximum(same(0), same(1)), others));
  const bothThere = tf.mul(rows, tf.reshape(rows, [1, size]));
  return { meets: tf.mul(strangers, bothThere), rows: tf.reshape(rows, [size]) };
}

/** Logits of which only those that meet count in a softmax or an argmax. */
export const excludeStrangers = (logits: tf.Tensor, { meets }: PairMask): tf.Tensor =>
  tf.add(logits, tf.mul(tf.sub(1, meets), EXCLUDED));

/** Which of a few rows of the batch are pairs, float32 `[count]`. */
export const rowsAt = ({ rows }: PairMask, first: number, count: number): tf.Tensor1D =>
  count === rows.shape[0] ? rows : tf.slice(rows, [first], [count]);
