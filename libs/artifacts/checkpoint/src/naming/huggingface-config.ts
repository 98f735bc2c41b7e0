import { InvalidInputError, type NamedArrays } from '@online-cnclip/foundation';

/** What tensors' shapes do not tell. */
export interface AttentionHeads {
  readonly visionHeads?: number | undefined;
  readonly textHeads?: number | undefined;
}

/**
 * The config.json of ChineseCLIPModel for these parameters (Chinese-CLIP's names). Sizes come from the shapes; heads
 * not given are 64 wide, ViT-H-14's (width 1280) 80, as in all published models.
 *
 * @throws InvalidInputError when a parameter is missing, or the heads must be given.
 */
export function huggingFaceConfig(parameters: NamedArrays, heads: AttentionHeads = {}): object {
  const size = (name: string, axis: number): number => {
    const value = parameters.get(name)?.shape[axis];
    if (value === undefined)
      throw new InvalidInputError('is missing: not a ViT and BERT model', { place: name });
    return value;
  };
  const embedding = size('text_projection', 1);
  const visionWidth = size('visual.conv1.weight', 0);
  const patch = size('visual.conv1.weight', 2);
  const grid = Math.sqrt(size('visual.positional_embedding', 0) - 1);
  const textWidth = size('bert.embeddings.word_embeddings.weight', 1);
  return {
    architectures: ['ChineseCLIPModel'],
    model_type: 'chinese_clip',
    projection_dim: embedding,
    logit_scale_init_value: 2.6592,
    text_config: {
      model_type: 'chinese_clip_text_model',
      vocab_size: size('bert.embeddings.word_embeddings.weight', 0),
      hidden_size: textWidth,
      num_hidden_layers: layers(parameters, /^bert\.encoder\.layer\.(\d+)\./),
      num_attention_heads: heads.textHeads ?? headsOf(textWidth, 64, 'textHeads'),
      intermediate_size: size('bert.encoder.layer.0.intermediate.dense.weight', 0),
      hidden_act: 'gelu',
      hidden_dropout_prob: 0.1,
      attention_probs_dropout_prob: 0.1,
      max_position_embeddings: size('bert.embeddings.position_embeddings.weight', 0),
      type_vocab_size: size('bert.embeddings.token_type_embeddings.weight', 0),
      layer_norm_eps: 1e-12,
      initializer_range: 0.02,
      pad_token_id: 0,
    },
    vision_config: {
      model_type: 'chinese_clip_vision_model',
      hidden_size: visionWidth,
      intermediate_size: size('visual.transformer.resblocks.0.mlp.c_fc.weight', 0),
      num_hidden_layers: layers(parameters, /^visual\.transformer\.resblocks\.(\d+)\./),
      num_attention_heads:
        heads.visionHeads ?? headsOf(visionWidth, visionWidth === 1280 ? 80 : 64, 'visionHeads'),
      image_size: grid * patch,
      patch_size: patch,
      hidden_act: 'quick_gelu',
      layer_norm_eps: 1e-5,
      projection_dim: embedding,
    },
  };
}

function layers(parameters: NamedArrays, pattern: RegExp): number {
  return new Set([...parameters.keys()].map((name) => pattern.exec(name)?.[1]).filter((n) => n !== undefined))
    .size;
}

function headsOf(width: number, headWidth: number, option: string): number {
  if (width % headWidth === 0) return width / headWidth;
  throw new InvalidInputError(`width ${width} is no multiple of ${headWidth}: give the number of heads`, {
    place: option,
  });
}
