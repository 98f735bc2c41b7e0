// One optimizer step of ViT-B-16 + RoBERTa-base: DSL loss, AdamW, 16 pairs, context 24, dropout on.
import { float32, releaseArrays } from '@online-cnclip/foundation';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { loadTokenizer } from '@online-cnclip/tokenizer';
import { createTrainStep } from '@online-cnclip/training';
import { QUERIES, serve, TEXT_MODEL, threads, VISION_MODEL } from '../serve.ts';

const BATCH = 16;
const CONTEXT = 24;
const runtime = createOnnxRuntime({ threads, arena: false });
const config = resolveModelConfig(VISION_MODEL, TEXT_MODEL);
const parameters = initializeParameters(config, 1);
const step = await createTrainStep({
  config,
  parameters,
  runtime,
  batchSize: BATCH,
  contextLength: CONTEXT,
  loss: 'dsl',
  freezeVision: false,
  seed: 1,
  optimizer: { kind: 'adamw', beta1: 0.9, beta2: 0.98, eps: 1e-6, weightDecay: 0.001 },
});
releaseArrays(parameters.values());
const side = config.vision.imageResolution;
const pixels = Float32Array.from({ length: BATCH * 3 * side * side }, () => Math.random() * 2 - 1);
const images = float32([BATCH, 3, side, side], pixels);
const ids = loadTokenizer().encode(QUERIES.slice(0, BATCH), CONTEXT);

await serve(async () => {
  const start = performance.now();
  await step.run(images, ids, 5e-5);
  return (BATCH * 1000) / (performance.now() - start);
});
