import {
  activatedLinear,
  attention,
  firstToken,
  layerNorm,
  linear,
  normalizedLinear,
} from '@online-cnclip/operations';
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
  for (let i = 0; i < layers; i++) x = block(config, weights, `visual.transformer.resblocks.${i}`, x);
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
  // The class token is added to its row of the positions, not repeated over the batch: TFJS's gradient of `tile` is one
  // slice per repetition, whose fixed offsets a trace with symbolic sizes cannot hold.
  const classRow = tf.reshape(at(weights, 'visual.class_embedding'), [1, width]);
  const rows = tf.add(
    at(weights, 'visual.positional_embedding'),
    tf.pad(classRow, [
      [0, grid * grid],
      [0, 0],
    ]),
  );
  return tf.add(
    tf.pad(embedded, [
      [0, 0],
      [1, 0],
      [0, 0],
    ]),
    rows,
  );
}

function block(config: VisionTransformerConfig, weights: Tensors, prefix: string, x: tf.Tensor): tf.Tensor {
  const { width, headWidth } = config;
  const named = (name: string) => at(weights, `${prefix}.${name}`);
  const norm = (name: string) => ({
    gamma: named(`${name}.weight`),
    beta: named(`${name}.bias`),
    epsilon: LAYER_NORM_EPSILON,
  });
  const projected = normalizedLinear(
    x,
    norm('ln_1'),
    named('attn.in_proj_weight'),
    named('attn.in_proj_bias'),
  );
  const [q, k, v] = tf.split(projected, 3, -1) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const attended = attention(q, k, v, { heads: width / headWidth });
  const y = tf.add(x, linear(attended, named('attn.out_proj.weight'), named('attn.out_proj.bias')));
  const hidden = normalizedLinear(y, norm('ln_2'), named('mlp.c_fc.weight'), named('mlp.c_fc.bias'));
  return tf.add(
    y,
    activatedLinear('quick-gelu', hidden, named('mlp.c_proj.weight'), named('mlp.c_proj.bias')),
  );
}
