import * as tf from '@tensorflow/tfjs-core';

/** `dsl`: the dual softmax loss of Online-CNCLIP. `clip`: symmetric InfoNCE (Radford et al., 2021). */
export type LossKind = 'dsl' | 'clip';

/** Temperature of the dual softmax's prior. */
const DUAL_SOFTMAX_TEMPERATURE = 1000;

/**
 * The contrastive loss of a batch whose pairs stand on the diagonal.
 *
 * @param logitsPerImage `[batch, batch]`, scaled similarities, one row per image
 * @returns a scalar
 */
export function contrastiveLoss(kind: LossKind, logitsPerImage: tf.Tensor): tf.Tensor {
  const logitsPerText = tf.transpose(logitsPerImage);
  if (kind === 'clip')
    return tf.mul(tf.add(diagonalCrossEntropy(logitsPerImage), diagonalCrossEntropy(logitsPerText)), 0.5);
  return tf.add(
    diagonalCrossEntropy(withDualPrior(logitsPerImage)),
    diagonalCrossEntropy(withDualPrior(logitsPerText)),
  );
}

/** Logits weighted by how much each column, too, prefers the row (Cheng et al., 2021). */
function withDualPrior(logits: tf.Tensor): tf.Tensor {
  const size = logits.shape[0] as number;
  const prior = tf.transpose(tf.softmax(tf.transpose(tf.div(logits, DUAL_SOFTMAX_TEMPERATURE))));
  return tf.mul(logits, tf.mul(prior, size));
}

function diagonalCrossEntropy(logits: tf.Tensor): tf.Tensor {
  const size = logits.shape[0] as number;
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), tf.eye(size)), -1)));
}

/** The share of rows whose largest element is on the diagonal. */
export function diagonalAccuracy(logits: tf.Tensor): tf.Tensor {
  const indices = tf.range(0, logits.shape[0] as number, 1, 'int32');
  return tf.mean(tf.cast(tf.equal(tf.argMax(logits, -1), indices), 'float32'));
}
