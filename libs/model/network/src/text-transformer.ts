import {
  activatedLinear,
  attention,
  dropout,
  firstToken,
  layerNorm,
  linear,
  positionsOf,
} from '@online-cnclip/operations';
import * as tf from '@tensorflow/tfjs-core';
import type { TextConfig } from './config.ts';
import { at, type Tensors } from './tensors.ts';
import { WORD_ROWS, wordRows } from './word-rows.ts';

const LAYER_NORM_EPSILON = 1e-12;

/** Id of [PAD]: such positions are masked. */
const PADDING_ID = 0;

/** What stays of each dropout site; absent where a model is only evaluated. */
export interface TextDropout {
  /** bool `[1 + 2 layers, batch, length, hidden]`: after the embeddings, then per layer after attention and after the output. */
  readonly hidden?: tf.Tensor | undefined;
  /** bool `[layers, batch, heads, length, length]` */
  readonly attention?: tf.Tensor | undefined;
}

/**
 * The text tower: BERT (Devlin et al., 2018), post-normalised, no pooler; the feature is the projected hidden
 * state of [CLS].
 *
 * @param inputIds int32 `[batch, length]`, zero-padded
 * @returns `[batch, embedDim]`, not normalised
 */
export function textTransformer(
  config: TextConfig,
  weights: Tensors,
  inputIds: tf.Tensor,
  kept: TextDropout = {},
): tf.Tensor {
  const keyMask = tf.cast(tf.notEqual(inputIds, tf.scalar(PADDING_ID, 'int32')), 'int32');
  const drop = (x: tf.Tensor, site: number) =>
    kept.hidden ? dropout(x, pick(kept.hidden, site), config.hiddenDropout) : x;
  let x = drop(embed(config, weights, inputIds), 0);
  for (let i = 0; i < config.layers; i++) {
    const options = {
      heads: config.heads,
      keyMask,
      ...(kept.attention
        ? { dropout: { keep: pick(kept.attention, i), rate: config.attentionDropout } }
        : {}),
    };
    x = layer(weights, `bert.encoder.layer.${i}`, x, options, (y, site) => drop(y, 1 + 2 * i + site));
  }
  return tf.matMul(firstToken(x) as tf.Tensor2D, at(weights, 'text_projection') as tf.Tensor2D);
}

/** The site's mask out of all of them. */
function pick(masks: tf.Tensor, site: number): tf.Tensor {
  const rest = masks.shape.slice(1);
  return tf.reshape(tf.slice(masks, [site, ...rest.map(() => 0)], [1, ...rest]), rest);
}

function normalized(weights: Tensors, name: string, x: tf.Tensor): tf.Tensor {
  return layerNorm(x, at(weights, `${name}.weight`), at(weights, `${name}.bias`), LAYER_NORM_EPSILON);
}

function embed(config: TextConfig, weights: Tensors, inputIds: tf.Tensor): tf.Tensor {
  const [batch = 0, length = 0] = inputIds.shape;
  const { hiddenSize } = config;
  const prefix = 'bert.embeddings';
  const words = weights[WORD_ROWS] ?? wordRows(weights, inputIds);
  const positions = tf.gather(at(weights, `${prefix}.position_embeddings.weight`), positionsOf(inputIds));
  const type = tf.slice(at(weights, `${prefix}.token_type_embeddings.weight`), [0, 0], [1, hiddenSize]);
  const sum = tf.add(tf.reshape(words, [batch, length, hiddenSize]), tf.add(positions, type));
  return normalized(weights, `${prefix}.LayerNorm`, sum);
}

function layer(
  weights: Tensors,
  prefix: string,
  x: tf.Tensor,
  options: Parameters<typeof attention>[3],
  drop: (x: tf.Tensor, site: 0 | 1) => tf.Tensor,
): tf.Tensor {
  const dense = (input: tf.Tensor, name: string) =>
    linear(input, at(weights, `${prefix}.${name}.weight`), at(weights, `${prefix}.${name}.bias`));
  const attended = attention(
    dense(x, 'attention.self.query'),
    dense(x, 'attention.self.key'),
    dense(x, 'attention.self.value'),
    options,
  );
  const mixed = drop(dense(attended, 'attention.output.dense'), 0);
  const y = normalized(weights, `${prefix}.attention.output.LayerNorm`, tf.add(mixed, x));
  const hidden = dense(y, 'intermediate.dense');
  const [weight, bias] = [
    at(weights, `${prefix}.output.dense.weight`),
    at(weights, `${prefix}.output.dense.bias`),
  ];
  const output = drop(activatedLinear('gelu', hidden, weight, bias), 1);
  return normalized(weights, `${prefix}.output.LayerNorm`, tf.add(output, y));
}
