import { float32, int32 } from '@online-cnclip/foundation';
import { initializeParameters, type ModelConfig } from '@online-cnclip/network';
import type { Runtime } from '@online-cnclip/runtime';
import { createTrainStep, type TrainingResult } from '@online-cnclip/training';

const BATCH = 2;
const CONTEXT_LENGTH = 4;
const RESOLUTION = 8;

/** Every kind of layer that the published models have, in the smallest sizes. */
const CONFIG: ModelConfig = {
  vision: {
    kind: 'vit',
    embedDim: 8,
    imageResolution: RESOLUTION,
    layers: 1,
    width: 16,
    headWidth: 8,
    patchSize: 4,
  },
  text: {
    vocabularySize: 16,
    hiddenSize: 16,
    layers: 1,
    heads: 2,
    intermediateSize: 32,
    maxPositions: CONTEXT_LENGTH,
    tokenTypes: 2,
    hiddenDropout: 0.1,
    attentionDropout: 0.1,
    initializerRange: 0.02,
  },
};

/** One training step, forward to update, as runs do it: shows that runtime and machine can. */
export async function tinyTraining(runtime: Runtime): Promise<TrainingResult> {
  const step = await createTrainStep({
    config: CONFIG,
    parameters: initializeParameters(CONFIG, 1),
    runtime,
    batchSize: BATCH,
    contextLength: CONTEXT_LENGTH,
    loss: 'dsl',
    optimizer: { kind: 'lamb', beta1: 0.9, beta2: 0.98, eps: 1e-6, weightDecay: 0.01, maxGradientNorm: 1 },
    freezeVision: false,
    seed: 1,
  });
  try {
    const pixels = Float32Array.from({ length: BATCH * 3 * RESOLUTION ** 2 }, (_, i) => Math.sin(i));
    const images = float32([BATCH, 3, RESOLUTION, RESOLUTION], pixels);
    const ids = int32([BATCH, CONTEXT_LENGTH], Int32Array.of(1, 5, 2, 0, 1, 9, 7, 2));
    const { loss } = await step.run(images, ids, 0.001);
    return { outcome: 'completed', step: 1, epoch: 1, loss };
  } finally {
    await step.dispose();
  }
}
