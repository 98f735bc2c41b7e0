import { InvalidInputError } from '@online-cnclip/foundation';
import { z } from 'zod';

interface VisionConfigBase {
  /** Width of the space that both towers share. */
  readonly embedDim: number;
  /** Height and width of the input, pixels. */
  readonly imageResolution: number;
  readonly width: number;
  /** Width of one attention head. */
  readonly headWidth: number;
}

export interface VisionTransformerConfig extends VisionConfigBase {
  readonly kind: 'vit';
  readonly layers: number;
  /** Height and width of one patch, pixels. */
  readonly patchSize: number;
}

export interface ResNetConfig extends VisionConfigBase {
  readonly kind: 'resnet';
  /** Blocks of the four stages. */
  readonly layers: readonly [number, number, number, number];
}

export type VisionConfig = VisionTransformerConfig | ResNetConfig;

export interface TextConfig {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly maxPositions: number;
  readonly tokenTypes: number;
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  /** Standard deviation of the weights of a model that starts from nothing. */
  readonly initializerRange: number;
  /** The same for the embeddings, where it differs. */
  readonly embeddingInitializerRange?: number;
}

export interface ModelConfig {
  readonly vision: VisionConfig;
  readonly text: TextConfig;
}

const count = z.number().int().positive();
const probability = z.number().min(0).lt(1);

const visionSchema = z.object({
  embed_dim: count,
  image_resolution: count,
  vision_layers: z.union([count, z.tuple([count, count, count, count])]),
  vision_width: count,
  vision_patch_size: count.nullish(),
  vision_head_width: count.default(64),
});

const textSchema = z.object({
  vocab_size: count,
  text_attention_probs_dropout_prob: probability,
  text_hidden_act: z.literal('gelu'),
  text_hidden_dropout_prob: probability,
  text_hidden_size: count,
  text_initializer_range: z.number().positive(),
  text_intermediate_size: count,
  text_max_position_embeddings: count,
  text_num_attention_heads: count,
  text_num_hidden_layers: count,
  text_type_vocab_size: count,
});

/**
 * Reads a vision model configuration with Chinese-CLIP's keys (`embed_dim`, `vision_layers`, ...).
 *
 * @throws InvalidInputError naming each key that is missing or wrong.
 */
export function parseVisionConfig(json: unknown): VisionConfig {
  const config = parse(visionSchema, normalizeLayers(json), 'vision model configuration');
  const base = {
    embedDim: config.embed_dim,
    imageResolution: config.image_resolution,
    width: config.vision_width,
    headWidth: config.vision_head_width,
  };
  if (typeof config.vision_layers !== 'number')
    return { ...base, kind: 'resnet', layers: config.vision_layers };
  const patchSize = config.vision_patch_size;
  if (!patchSize || config.image_resolution % patchSize !== 0)
    throw new InvalidInputError(`${patchSize} does not divide the resolution ${config.image_resolution}`, {
      place: 'vision_patch_size',
    });
  return { ...base, kind: 'vit', layers: config.vision_layers, patchSize };
}

/** Chinese-CLIP writes RN50's layers as the text "[3,4,6,3]". */
function normalizeLayers(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json;
  const layers = (json as Record<string, unknown>)['vision_layers'];
  if (typeof layers !== 'string') return json;
  const numbers = layers.match(/\d+/g)?.map(Number) ?? [];
  return { ...json, vision_layers: numbers };
}

/** Reads a text model configuration with Chinese-CLIP's keys (`vocab_size`, `text_hidden_size`, ...). */
export function parseTextConfig(json: unknown): TextConfig {
  const config = parse(textSchema, json, 'text model configuration');
  if (config.text_hidden_size % config.text_num_attention_heads !== 0)
    throw new InvalidInputError(
      `${config.text_num_attention_heads} heads do not divide the hidden size ${config.text_hidden_size}`,
      { place: 'text_num_attention_heads' },
    );
  return {
    vocabularySize: config.vocab_size,
    hiddenSize: config.text_hidden_size,
    layers: config.text_num_hidden_layers,
    heads: config.text_num_attention_heads,
    intermediateSize: config.text_intermediate_size,
    maxPositions: config.text_max_position_embeddings,
    tokenTypes: config.text_type_vocab_size,
    hiddenDropout: config.text_hidden_dropout_prob,
    attentionDropout: config.text_attention_probs_dropout_prob,
    initializerRange: config.text_initializer_range,
  };
}

function parse<T extends z.ZodType>(schema: T, json: unknown, place: string): z.output<T> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new InvalidInputError(issues.join('; '), { place });
}
