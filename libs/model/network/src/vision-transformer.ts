import { attention, firstToken, layerNorm, linear, quickGelu } from '@online-cnclip/operations';
import * as tf from '@tensorflow/tfjs-core';
import type { VisionTransformerConfig } from './config.ts';
import { at, type Tensors } from './tensors.ts';

const LAYER_NORM_EPSILON = 1e-5;

/**
 * The image tower of CLIP as a vision transformer (Radford et al., 2021): pre-normalised blocks, class token.
 *
 * @param images `[batch, 3, resolution, resolution]`
 * @returns `[batch, embedDim]`, not normalised
 */
export function visionTransformer(
  config: VisionTransformerConfig,
  weights: Tensors,
  images: tf.Tensor,
): tf.Tensor {
  const { layers } = config;
  const normalized = (x: tf.Tensor, name: string) =>
    layerNorm(x, at(weights, `${name}.weight`), at(weights, `${name}.bias`), LAYER_NORM_EPSILON);
  let x = normalized(embedPatches(config, weights, images), 'visual.ln_pre');
  for (let i = 0; i < layers; i++)
    x = block(config, weights, `visual.transformer.resblocks.${i}`, x, normalized);
  const feature = normalized(firstToken(x), 'visual.ln_post');
  return tf.matMul(feature as tf.Tensor2D, at(weights, 'visual.proj') as tf.Tensor2D);
}

/** A convolution whose stride is its size is a product of patches with the flattened filters. */
function embedPatches(config: VisionTransformerConfig, weights: Tensors, images: tf.Tensor): tf.Tensor {
  const { width, patchSize, imageResolution } = config;
  const batch = images.shape[0] as number;
  const grid = imageResolution / patchSize;
  const patches = tf.transpose(
    tf.reshape(images, [batch, 3, grid, patchSize, grid, patchSize]),
    [0, 2, 4, 1, 3, 5],
  );
  const size = 3 * patchSize * patchSize;
  const filters = tf.reshape(at(weights, 'visual.conv1.weight'), [width, size]);
  const embedded = linear(tf.reshape(patches, [batch, grid * grid, size]), filters, null);
  const classToken = tf.tile(tf.reshape(at(weights, 'visual.class_embedding'), [1, 1, width]), [batch, 1, 1]);
  return tf.add(tf.concat([classToken, embedded], 1), at(weights, 'visual.positional_embedding'));
}

function block(
  config: VisionTransformerConfig,
  weights: Tensors,
  prefix: string,
  x: tf.Tensor,
  normalized: (x: tf.Tensor, name: string) => tf.Tensor,
): tf.Tensor {
  const { width, headWidth } = config;
  const dense = (input: tf.Tensor, name: string) =>
    linear(input, at(weights, `${prefix}.${name}.weight`), at(weights, `${prefix}.${name}.bias`));
  const projected = linear(
    normalized(x, `${prefix}.ln_1`),
    at(weights, `${prefix}.attn.in_proj_weight`),
    at(weights, `${prefix}.attn.in_proj_bias`),
  );
  const [q, k, v] = tf.split(projected, 3, -1) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const attended = dense(attention(q, k, v, { heads: width / headWidth }), 'attn.out_proj');
  const y = tf.add(x, attended);
  const hidden = quickGelu(dense(normalized(y, `${prefix}.ln_2`), 'mlp.c_fc'));
  return tf.add(y, dense(hidden, 'mlp.c_proj'));
}
