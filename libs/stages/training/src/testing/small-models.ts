// Models and batches for tests of the training step.
import { float32, int32, type NdArray } from '@online-cnclip/foundation';
import type { ModelConfig, ResNetConfig, TextConfig, VisionTransformerConfig } from '@online-cnclip/network';

export const CONTEXT_LENGTH = 6;
const RESOLUTION = 32;
const VOCABULARY = 32;

const text: TextConfig = {
  vocabularySize: VOCABULARY,
  hiddenSize: 16,
  layers: 1,
  heads: 2,
  intermediateSize: 32,
  maxPositions: CONTEXT_LENGTH,
  tokenTypes: 2,
  hiddenDropout: 0.1,
  attentionDropout: 0.1,
  initializerRange: 0.2,
};
const vit: VisionTransformerConfig = {
  kind: 'vit',
  embedDim: 8,
  imageResolution: RESOLUTION,
  layers: 1,
  width: 16,
  headWidth: 8,
  patchSize: 16,
};
const resnet: ResNetConfig = {
  kind: 'resnet',
  embedDim: 8,
  imageResolution: RESOLUTION,
  layers: [1, 1, 1, 1],
  width: 8,
  headWidth: 8,
};

export const SMALL_VIT: ModelConfig = { vision: vit, text };
export const SMALL_RESNET: ModelConfig = { vision: resnet, text };

export const withoutDropout = ({ vision, text }: ModelConfig): ModelConfig => ({
  vision,
  text: { ...text, hiddenDropout: 0, attentionDropout: 0 },
});

export interface TestBatch {
  readonly images: NdArray<'float32'>;
  readonly ids: NdArray<'int32'>;
}

/** Pairs that differ between steps; their texts differ in length. */
export function testBatch(pairs: number, step: number): TestBatch {
  const pixels = 3 * RESOLUTION ** 2;
  const images = Float32Array.from({ length: pairs * pixels }, (_, i) =>
    Math.sin(i * (1 + 0.37 * step) + ((i * 7919) % 11) + Math.floor(i / pixels)),
  );
  const ids = Int32Array.from({ length: pairs * CONTEXT_LENGTH }, (_, i) => {
    const [row, column] = [Math.floor(i / CONTEXT_LENGTH), i % CONTEXT_LENGTH];
    return column > 2 + (row % 3) ? 0 : 1 + ((i * 7 + step * 5) % (VOCABULARY - 1));
  });
  return {
    images: float32([pairs, 3, RESOLUTION, RESOLUTION], images),
    ids: int32([pairs, CONTEXT_LENGTH], ids),
  };
}

/** Every `worldSize`-th row from `rank` on: a replica's share of a global batch. */
export function strided<A extends NdArray>(array: A, rank: number, worldSize: number): A {
  const [rows = 0, ...rest] = array.shape;
  const width = array.data.length / rows;
  const data = array.data.slice(0, array.data.length / worldSize);
  for (let row = 0; row < rows / worldSize; row++)
    data.set(
      array.data.subarray((row * worldSize + rank) * width, (row * worldSize + rank + 1) * width) as never,
      row * width,
    );
  return { ...array, shape: [rows / worldSize, ...rest], data };
}
