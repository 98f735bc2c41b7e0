import * as tf from '@tensorflow/tfjs-core';
import { excludeStrangers, type PairMask } from './pair-mask.ts';

/** `dsl`: the dual softmax loss of Online-CNCLIP. `clip`: symmetric InfoNCE (Radford et al., 2021). */
export type LossKind = 'dsl' | 'clip';

/** Temperature of the dual softmax's prior. */
const DUAL_SOFTMAX_TEMPERATURE = 1000;

/**
 * The contrastive loss of a batch whose pairs stand on the diagonal.
 *
 * @param logitsPerImage `[batch, batch]`, scaled similarities, one row per image
 * @param mask which pairs meet; absent: all do
 * @returns a scalar
 */
export function contrastiveLoss(kind: LossKind, logitsPerImage: tf.Tensor, mask?: PairMask): tf.Tensor {
  const logitsPerText = tf.transpose(logitsPerImage);
  if (kind === 'clip')
    return tf.mul(
      tf.add(diagonalCrossEntropy(logitsPerImage, mask), diagonalCrossEntropy(logitsPerText, mask)),
      0.5,
    );
  return tf.add(
    diagonalCrossEntropy(withDualPrior(logitsPerImage, mask), mask),
    diagonalCrossEntropy(withDualPrior(logitsPerText, mask), mask),
  );
}

/**
 * Logits weighted by how much each column, too, prefers the row (Cheng et al., 2021). The prior's mean over what meets
 * in a column is 1.
 */
function withDualPrior(logits: tf.Tensor, mask?: PairMask): tf.Tensor {
  const size = mask ? tf.sum(mask.meets, 0, true) : (logits.shape[0] as number);
  const compared = mask ? excludeStrangers(logits, mask) : logits;
  const prior = tf.transpose(tf.softmax(tf.transpose(tf.div(compared, DUAL_SOFTMAX_TEMPERATURE))));
  return tf.mul(logits, tf.mul(prior, size));
}

function diagonalCrossEntropy(logits: tf.Tensor, mask?: PairMask): tf.Tensor {
  const diagonal = tf.eye(logits.shape[0] as number);
  if (!mask) return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), diagonal), -1)));
  const likelihoods = tf.mul(tf.logSoftmax(excludeStrangers(logits, mask)), tf.mul(diagonal, mask.meets));
  return tf.neg(tf.div(tf.sum(likelihoods), tf.sum(mask.rows)));
}

/** The share of rows whose largest element is on the diagonal: of pairs, among what meets. */
export function diagonalAccuracy(logits: tf.Tensor, mask?: PairMask): tf.Tensor {
  const indices = tf.range(0, logits.shape[0] as number, 1, 'int32');
  const nearest = tf.argMax(mask ? excludeStrangers(logits, mask) : logits, -1);
  const hits = tf.cast(tf.equal(nearest, indices), 'float32');
  return mask ? tf.div(tf.sum(tf.mul(hits, mask.rows)), tf.sum(mask.rows)) : tf.mean(hits);
}
