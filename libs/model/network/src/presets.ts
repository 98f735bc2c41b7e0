import { InvalidInputError } from '@online-cnclip/foundation';
import type { ModelConfig, TextConfig, VisionConfig } from './config.ts';

/** Sizes of the published Chinese-CLIP models, and of a small one that a laptop trains in minutes. */
const vit = (
  layers: number,
  width: number,
  headWidth: number,
  patchSize: number,
  imageResolution: number,
  embedDim: number,
) => ({ kind: 'vit', layers, width, headWidth, patchSize, imageResolution, embedDim }) as const;

export const VISION_PRESETS: Readonly<Record<string, VisionConfig>> = {
  'ViT-B-32': vit(12, 768, 64, 32, 224, 512),
  'ViT-B-16': vit(12, 768, 64, 16, 224, 512),
  'ViT-L-14': vit(24, 1024, 64, 14, 224, 768),
  'ViT-L-14-336': vit(24, 1024, 64, 14, 336, 768),
  'ViT-H-14': vit(32, 1280, 80, 14, 224, 1024),
  RN50: {
    kind: 'resnet',
    layers: [3, 4, 6, 3],
    width: 64,
    headWidth: 64,
    imageResolution: 224,
    embedDim: 1024,
  },
  'ViT-mini-8-48': vit(3, 128, 32, 8, 48, 128),
};

const bert = (layers: number, hiddenSize: number, heads: number, intermediateSize: number): TextConfig => ({
  layers,
  hiddenSize,
  heads,
  intermediateSize,
  vocabularySize: 21128,
  maxPositions: 512,
  tokenTypes: 2,
  hiddenDropout: 0.1,
  attentionDropout: 0.1,
  initializerRange: 0.02,
});

export const TEXT_PRESETS: Readonly<Record<string, TextConfig>> = {
  'RoBERTa-wwm-ext-base-chinese': bert(12, 768, 12, 3072),
  'RoBERTa-wwm-ext-large-chinese': bert(24, 1024, 16, 4096),
  'RBT3-chinese': bert(3, 768, 12, 3072),
  // Trained from nothing in minutes. BERT's 0.02 suits its width of 768: at 128 the layers would hardly pass anything on at
  // first, and embeddings of the larger deviation would learn as much slower, being normalised.
  'RoBERTa-mini-chinese': {
    ...bert(2, 128, 4, 512),
    initializerRange: 0.06,
    embeddingInitializerRange: 0.02,
  },
};

/** @throws InvalidInputError naming an unknown preset and the known ones. */
export function resolveModelConfig(visionModel: string, textModel: string): ModelConfig {
  return {
    vision: preset(VISION_PRESETS, visionModel, 'vision-model'),
    text: preset(TEXT_PRESETS, textModel, 'text-model'),
  };
}

function preset<T>(presets: Readonly<Record<string, T>>, name: string, place: string): T {
  const found = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (!found)
    throw new InvalidInputError(`"${name}" is unknown; known: ${Object.keys(presets).join(', ')}`, { place });
  return found;
}
