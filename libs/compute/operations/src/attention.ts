import * as tf from '@tensorflow/tfjs-core';
import { dropout } from './dropout.ts';
import { fusedOr, type GradSaver, nth } from './fused-kernel.ts';

export const ATTENTION_KERNEL = 'OnlineCnclipAttention';

/** What a masked key's score is lowered by: far below any score, and finite in half precision too. */
export const MASKED_SCORE = -10_000;

export interface AttentionOptions {
  readonly heads: number;
  /** int32 `[batch, keys]`, 1 for a key that is attended to and 0 for padding; absent: all are. */
  readonly keyMask?: tf.Tensor;
  readonly dropout?: {
    /** bool `[batch, heads, queries, keys]` */
    readonly keep: tf.Tensor;
    readonly rate: number;
  };
}

/**
 * Scaled dot-product attention with several heads (Vaswani et al., 2017).
 *
 * @param q `[batch, queries, width]`
 * @param k `[batch, keys, width]`
 * @param v `[batch, keys, width]`
 * @returns `[batch, queries, width]`
 */
export function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, options: AttentionOptions): tf.Tensor {
  const attend = tf.customGrad((...args) => {
    const [query, key, value, save] = args as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, GradSaver];
    const { heads, keyMask } = options;
    const inputs = { query, key, value, ...(keyMask ? { keyMask } : {}) };
    const compose = () =>
      joinHeads(tf.matMul(dropped(probabilities(query, key, options), options), split(value, heads)));
    const [y] = options.dropout ? [compose()] : fusedOr(ATTENTION_KERNEL, inputs, { heads }, compose);
    // Whatever the gradient needs is saved: TFJS disposes of all else when the forward pass ends.
    save([
      query,
      key,
      value,
      ...(keyMask ? [keyMask] : []),
      ...(options.dropout ? [options.dropout.keep] : []),
    ]);
    return {
      value: y as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => gradient(dy, saved, savedOptions(saved, options)),
    };
  });
  return attend(q, k, v);
}

/** The options with their tensors as they were saved. */
function savedOptions(saved: readonly tf.Tensor[], options: AttentionOptions): AttentionOptions {
  const rest = saved.slice(3);
  const keyMask = options.keyMask ? { keyMask: rest.shift() as tf.Tensor } : {};
  const dropout = options.dropout ? { dropout: { ...options.dropout, keep: rest.shift() as tf.Tensor } } : {};
  return { heads: options.heads, ...keyMask, ...dropout };
}

/** `[batch, length, width]` -> `[batch, heads, length, width / heads]` */
function split(x: tf.Tensor, heads: number): tf.Tensor4D {
  const [batch = 0, length = 0, width = 0] = x.shape;
  return tf.transpose(tf.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]) as tf.Tensor4D;
}

function joinHeads(x: tf.Tensor): tf.Tensor {
  const [batch = 0, heads = 0, length = 0, width = 0] = x.shape;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, length, heads * width]);
}

const scaleOf = (x: tf.Tensor, heads: number): number => 1 / Math.sqrt((x.shape[2] as number) / heads);

function probabilities(q: tf.Tensor, k: tf.Tensor, { heads, keyMask }: AttentionOptions): tf.Tensor {
  const scaled = tf.mul(q, scaleOf(q, heads));
  const scores = tf.matMul(split(scaled, heads), split(k, heads), false, true);
  if (!keyMask) return tf.softmax(scores);
  const [batch = 0, keys = 0] = keyMask.shape;
  const bias = tf.mul(tf.sub(1, tf.cast(keyMask, 'float32')), MASKED_SCORE);
  return tf.softmax(tf.add(scores, tf.reshape(bias, [batch, 1, 1, keys])));
}

const dropped = (p: tf.Tensor, options: AttentionOptions): tf.Tensor =>
  options.dropout ? dropout(p, options.dropout.keep, options.dropout.rate) : p;

/** Probabilities are computed again from the saved inputs: they are the largest tensors of a layer. */
function gradient(dy: tf.Tensor, saved: tf.Tensor[], options: AttentionOptions): tf.Tensor[] {
  const { heads } = options;
  const [q, k, v] = [nth(saved, 0), nth(saved, 1), nth(saved, 2)];
  const p = probabilities(q, k, options);
  const dOutput = split(dy, heads);
  const dValue = tf.matMul(dropped(p, options), dOutput, true, false);
  const dP = dropped(tf.matMul(dOutput, split(v, heads), false, true), options);
  const weighted = tf.mul(p, dP);
  const dScores = tf.sub(weighted, tf.mul(p, tf.sum(weighted, -1, true)));
  const scale = scaleOf(q, heads);
  const dQuery = tf.mul(joinHeads(tf.matMul(dScores, split(k, heads))), scale);
  const dKey = tf.mul(joinHeads(tf.matMul(dScores, split(q, heads), true, false)), scale);
  return [dQuery, dKey, joinHeads(dValue)];
}
