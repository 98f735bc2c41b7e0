// A step in micro-batches of 16 against the plain step of the same 64 pairs: ViT-mini-8-48 + RoBERTa-mini, DSL loss, AdamW, dropout on.
import { float32 } from '@online-cnclip/foundation';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { loadTokenizer } from '@online-cnclip/tokenizer';
import { createTrainStep } from '@online-cnclip/training';
import { QUERIES, serve, threads } from '../serve.ts';

const BATCH = 64;
const MICRO_BATCH = 16;
const CONTEXT = 24;
const STEPS = 3;
const config = resolveModelConfig('ViT-mini-8-48', 'RoBERTa-mini-chinese');
const runtime = createOnnxRuntime({ threads, arena: false });
const createStep = (microBatchSize?: number) =>
  createTrainStep({
    config,
    parameters: initializeParameters(config, 1),
    runtime,
    batchSize: BATCH,
    ...(microBatchSize !== undefined && { microBatchSize }),
    contextLength: CONTEXT,
    loss: 'dsl',
    freezeVision: false,
    seed: 1,
    optimizer: { kind: 'adamw', beta1: 0.9, beta2: 0.98, eps: 1e-6, weightDecay: 0.001 },
  });
const [plain, cached] = [await createStep(), await createStep(MICRO_BATCH)];
const side = config.vision.imageResolution;
const pixels = Float32Array.from({ length: BATCH * 3 * side * side }, () => Math.random() * 2 - 1);
const images = float32([BATCH, 3, side, side], pixels);
const ids = loadTokenizer().encode(QUERIES.slice(0, BATCH), CONTEXT);

async function secondsOf(step: typeof plain): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < STEPS; i++) await step.run(images, ids, 5e-5);
  return (performance.now() - start) / 1000;
}

await serve(async () => {
  const plainSeconds = await secondsOf(plain);
  return plainSeconds / (await secondsOf(cached));
});
