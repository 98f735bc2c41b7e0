import { attention, linear, sumOverReplicas } from '@online-cnclip/operations';
import * as tf from '@tensorflow/tfjs-core';
import type { ResNetConfig } from './config.ts';
import { type BottleneckSpec, bottlenecks } from './parameters.ts';
import { at, type Tensors } from './tensors.ts';

const BATCH_NORM_EPSILON = 1e-5;
const BATCH_NORM_MOMENTUM = 0.1;

/**
 * Where batch normalisation takes its statistics from. In training it leaves the next running ones in `updates`; `rows`
 * `[batch]` has 0 for each image that takes no part. With more than one replica the statistics are of all their images.
 */
export type BatchNormMode =
  | { readonly kind: 'running' }
  | {
      readonly kind: 'batch';
      readonly updates: Map<string, tf.Tensor>;
      readonly rows?: tf.Tensor1D | undefined;
      readonly replicaCount?: number;
    };

interface Context {
  readonly weights: Tensors;
  readonly mode: BatchNormMode;
}

/**
 * The image tower of CLIP as a ModifiedResNet (Radford et al., 2021): three-layer stem, anti-aliased strides, pooling by
 * attention. Computed as NHWC, which every backend of TFJS has.
 *
 * @param images `[batch, 3, resolution, resolution]`
 * @returns `[batch, embedDim]`, not normalised
 */
export function residualNetwork(
  config: ResNetConfig,
  weights: Tensors,
  images: tf.Tensor,
  mode: BatchNormMode,
): tf.Tensor {
  const context = { weights, mode };
  let x = tf.transpose(images, [0, 2, 3, 1]) as tf.Tensor4D;
  for (const [i, stride] of [
    [1, 2],
    [2, 1],
    [3, 1],
  ] as const)
    x = tf.relu(batchNorm(context, `visual.bn${i}`, convolution(context, `visual.conv${i}`, x, stride)));
  x = averagePool(x, 2);
  for (const spec of bottlenecks(config)) x = bottleneck(context, spec, x);
  return attentionPool(config, weights, x);
}

/** Torch's filters are `[out, in, height, width]`, TFJS's `[height, width, in, out]`. */
function convolution({ weights }: Context, name: string, x: tf.Tensor4D, stride: number): tf.Tensor4D {
  const filter = tf.transpose(at(weights, `${name}.weight`), [2, 3, 1, 0]) as tf.Tensor4D;
  const rim = (filter.shape[0] - 1) / 2;
  return tf.conv2d(x, filter, stride, rim === 0 ? 'valid' : aroundPixels(rim));
}

/** The same rim on all four sides, said in the form that every backend takes (TensorFlow's takes no plain number). */
const aroundPixels = (rim: number): tf.backend_util.ExplicitPadding => [
  [0, 0],
  [rim, rim],
  [rim, rim],
  [0, 0],
];

const averagePool = (x: tf.Tensor4D, size: number): tf.Tensor4D => tf.avgPool(x, size, size, 'valid');

function batchNorm({ weights, mode }: Context, name: string, x: tf.Tensor4D): tf.Tensor4D {
  const [gamma, beta] = [at(weights, `${name}.weight`), at(weights, `${name}.bias`)];
  const running = [at(weights, `${name}.running_mean`), at(weights, `${name}.running_var`)] as const;
  const [mean, variance] = mode.kind === 'running' ? running : batchStatistics(name, x, running, mode);
  const scale = tf.mul(gamma, tf.rsqrt(tf.add(variance, BATCH_NORM_EPSILON)));
  return tf.add(tf.mul(x, scale), tf.sub(beta, tf.mul(mean, scale))) as tf.Tensor4D;
}

function batchStatistics(
  name: string,
  x: tf.Tensor4D,
  [runningMean, runningVariance]: readonly [tf.Tensor, tf.Tensor],
  { updates, rows, replicaCount = 1 }: Extract<BatchNormMode, { kind: 'batch' }>,
): readonly [tf.Tensor, tf.Tensor] {
  const { mean, variance, count } =
    replicaCount > 1 ? sharedMoments(x, rows, runningMean, replicaCount) : moments(x, rows);
  const next = (running: tf.Tensor, value: tf.Tensor, scale: number | tf.Tensor) =>
    tf.keep(tf.add(tf.mul(running, 1 - BATCH_NORM_MOMENTUM), tf.mul(value, scale)));
  updates.set(`${name}.running_mean`, next(runningMean, mean, BATCH_NORM_MOMENTUM));
  // Torch normalises with the biased variance and keeps the unbiased one.
  const unbiased =
    typeof count === 'number'
      ? BATCH_NORM_MOMENTUM * (count / (count - 1))
      : tf.mul(tf.div(count, tf.maximum(tf.sub(count, 1), 1)), BATCH_NORM_MOMENTUM);
  updates.set(`${name}.running_var`, next(runningVariance, variance, unbiased));
  return [mean, variance];
}

/** Mean and biased variance of each channel, and how many values of a channel there are. */
function moments(x: tf.Tensor4D, rows: tf.Tensor1D | undefined) {
  const [batch, height, width] = x.shape;
  if (!rows) return { ...tf.moments(x, [0, 1, 2]), count: batch * height * width };
  const count = tf.mul(tf.sum(rows), height * width);
  const weights = tf.reshape(rows, [batch, 1, 1, 1]);
  const mean = tf.div(tf.sum(tf.mul(x, weights), [0, 1, 2]), count);
  const squares = tf.mul(tf.square(tf.sub(x, mean)), weights);
  return { mean, variance: tf.div(tf.sum(squares, [0, 1, 2]), count), count };
}

/**
 * The same over all replicas, in one exchange: sums of x and its square, taken about the running mean so that little
 * is lost where the mean is large against the deviation.
 */
function sharedMoments(
  x: tf.Tensor4D,
  rows: tf.Tensor1D | undefined,
  center: tf.Tensor,
  replicaCount: number,
) {
  const [batch, height, width, channels] = x.shape;
  const centered = tf.sub(x, center);
  const kept = rows ? tf.mul(centered, tf.reshape(rows, [batch, 1, 1, 1])) : centered;
  const sums = [tf.sum(kept, [0, 1, 2]), tf.sum(tf.mul(kept, centered), [0, 1, 2])];
  const own = rows ? [tf.reshape(tf.mul(tf.sum(rows), height * width), [1])] : [];
  const shared = sumOverReplicas(tf.concat([...sums, ...own] as tf.Tensor1D[]));
  const count = rows
    ? tf.slice(shared, [2 * channels], [1])
    : tf.scalar(replicaCount * batch * height * width);
  const offset = tf.div(tf.slice(shared, [0], [channels]), count);
  const square = tf.div(tf.slice(shared, [channels], [channels]), count);
  const variance = tf.sub(square, tf.square(offset));
  return {
    mean: tf.add(center, offset),
    variance,
    count: rows ? tf.reshape(count, []) : replicaCount * batch * height * width,
  };
}

function bottleneck(context: Context, spec: BottleneckSpec, x: tf.Tensor4D): tf.Tensor4D {
  const { prefix, stride, hasDownsample } = spec;
  const unit = (y: tf.Tensor4D, i: number) =>
    batchNorm(context, `${prefix}.bn${i}`, convolution(context, `${prefix}.conv${i}`, y, 1));
  let y = tf.relu(unit(tf.relu(unit(x, 1)), 2));
  if (stride > 1) y = averagePool(y, stride);
  y = unit(y, 3);
  let identity = x;
  if (hasDownsample) {
    if (stride > 1) identity = averagePool(identity, stride);
    identity = batchNorm(
      context,
      `${prefix}.downsample.1`,
      convolution(context, `${prefix}.downsample.0`, identity, 1),
    );
  }
  return tf.relu(tf.add(y, identity));
}

/** One attention layer whose only query is the mean of all positions. */
function attentionPool(config: ResNetConfig, weights: Tensors, x: tf.Tensor4D): tf.Tensor {
  const [batch, height, width, features] = x.shape;
  const prefix = 'visual.attnpool';
  const dense = (input: tf.Tensor, name: string) =>
    linear(input, at(weights, `${prefix}.${name}.weight`), at(weights, `${prefix}.${name}.bias`));
  const positions = tf.reshape(x, [batch, height * width, features]);
  const tokens = tf.add(
    tf.concat([tf.mean(positions, 1, true), positions], 1),
    at(weights, `${prefix}.positional_embedding`),
  );
  const query = tf.slice(tokens, [0, 0, 0], [-1, 1, -1]);
  const heads = (config.width * 32) / config.headWidth;
  const pooled = attention(dense(query, 'q_proj'), dense(tokens, 'k_proj'), dense(tokens, 'v_proj'), {
    heads,
  });
  return tf.reshape(dense(pooled, 'c_proj'), [batch, config.embedDim]);
}
