// Image features of ViT-B-16 from ready tensors: one at a time, or 16 images in the micro-batch that is fastest here.
import { float32 } from '@online-cnclip/foundation';
import { imageEncoderProgram, initializeParameters, resolveModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { rateOf, serve, TEXT_MODEL, threads, VISION_MODEL } from '../serve.ts';

const IMAGES = 16;
const MICRO_BATCHES = [1, 2, 4, 8, 16];
const config = resolveModelConfig(VISION_MODEL, TEXT_MODEL);
const runtime = createOnnxRuntime({ threads });
const encoder = await runtime.prepare(imageEncoderProgram(config, initializeParameters(config, 1)));
const side = config.vision.imageResolution;
const batchOf = (size: number) => {
  const pixels = Float32Array.from({ length: size * 3 * side * side }, () => Math.random() * 2 - 1);
  return { images: float32([size, 3, side, side], pixels) };
};
const encodeAll = (count: number, microBatch: number) => {
  const batch = batchOf(microBatch);
  return async () => {
    for (let done = 0; done < count; done += microBatch) await encoder.run(batch);
  };
};

async function fastestMicroBatch(): Promise<number> {
  const rates: number[] = [];
  for (const size of MICRO_BATCHES) {
    const work = encodeAll(IMAGES, size);
    await work();
    rates.push(await rateOf(IMAGES, work));
  }
  return MICRO_BATCHES[rates.indexOf(Math.max(...rates))] as number;
}

const one = process.argv[2] === '1';
const count = one ? 1 : IMAGES;
const work = encodeAll(count, one ? 1 : await fastestMicroBatch());
await serve(() => rateOf(count, work));
