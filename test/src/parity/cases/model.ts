import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadParameters, readSafetensors } from '@online-cnclip/checkpoint';
import type { NamedArrays, NdArray } from '@online-cnclip/foundation';
import {
  imageEncoderProgram,
  type ModelConfig,
  parameterSpecs,
  parseTextConfig,
  parseVisionConfig,
  textEncoderProgram,
} from '@online-cnclip/network';
import type { Executable, Runtime } from '@online-cnclip/runtime';
import { countOf, type ParityResult, type ParitySuite, readJson, relativeError } from '../case.ts';

/** Scaled by the reference's largest value. */
const FEATURE_TOLERANCE = 1e-5;
/** Weights that went through half precision. */
const HALF_PRECISION_TOLERANCE = 5e-3;

interface Golden {
  readonly name: string;
  readonly config: ModelConfig;
  readonly cases: NamedArrays;
}

export const model: ParitySuite = async function* ({ folder, runtime }) {
  for (const name of readdirSync(join(folder, 'model'))) {
    const path = join(folder, 'model', name);
    const config = {
      vision: parseVisionConfig(readJson(path, 'vision_model_config.json')),
      text: parseTextConfig(readJson(path, 'text_model_config.json')),
    };
    const golden = { name, config, cases: await readSafetensors(join(path, 'cases.safetensors')) };
    yield* checkpointCases(golden, runtime, join(path, 'checkpoint.pt'), 'checkpoint.pt', FEATURE_TOLERANCE);
    for (const file of readdirSync(path)) {
      if (file === 'checkpoint-fp16.pt')
        yield* checkpointCases(golden, runtime, join(path, file), file, HALF_PRECISION_TOLERANCE);
      if (file === 'huggingface')
        yield* checkpointCases(
          golden,
          runtime,
          join(path, file, 'model.safetensors'),
          file,
          FEATURE_TOLERANCE,
        );
      if (file.includes('without-word-embeddings')) yield await missingTensor(golden, join(path, file));
    }
  }
};

async function* checkpointCases(
  { name, config, cases }: Golden,
  runtime: Runtime,
  path: string,
  file: string,
  tolerance: number,
): AsyncIterable<ParityResult> {
  if (!existsSync(path)) throw new Error(`${path} is missing`);
  const { parameters } = await loadParameters(path, parameterSpecs(config));
  const image = await runtime.prepare(imageEncoderProgram(config, parameters));
  const text = await runtime.prepare(textEncoderProgram(config, parameters));
  const run = async (executable: Executable, inputs: Record<string, NdArray>) => {
    const outputs = await executable.run(inputs);
    await executable.dispose();
    return outputs as Record<'features' | 'normalized', NdArray<'float32'>>;
  };
  const images = await run(image, { images: cases.get('images') as NdArray });
  const texts = await run(text, { input_ids: cases.get('input_ids') as NdArray });
  const scale = Math.exp(parameters.get('logit_scale')?.data[0] as number);
  const actual: Record<string, NdArray> = {
    image_features: images.features,
    image_features_normalized: images.normalized,
    text_features: texts.features,
    text_features_normalized: texts.normalized,
    logit_scale_exp: { dtype: 'float32', shape: [], data: Float32Array.of(scale) },
    logits_per_image: similarities(images.normalized, texts.normalized, scale),
  };
  for (const [key, expected] of cases)
    if (key !== 'images' && key !== 'input_ids')
      yield {
        name: `model/${name}/${file}: ${key}`,
        error: relativeError(actual[key], expected),
        tolerance,
        unit: 'relative',
      };
}

function similarities(
  images: NdArray<'float32'>,
  texts: NdArray<'float32'>,
  scale: number,
): NdArray<'float32'> {
  const [rows = 0, width = 0] = images.shape;
  const columns = texts.shape[0] as number;
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let i = 0; i < width; i++)
        sum += (images.data[row * width + i] as number) * (texts.data[column * width + i] as number);
      data[row * columns + column] = scale * sum;
    }
  return { dtype: 'float32', shape: [rows, columns], data };
}

/** The file lacks one tensor: loading it must say which. */
async function missingTensor({ name, config }: Golden, path: string): Promise<ParityResult> {
  const label = `model/${name}/legacy format: the missing tensor is named`;
  try {
    await loadParameters(path, parameterSpecs(config));
    return countOf(label, 1);
  } catch (error) {
    return countOf(label, String(error).includes('bert.embeddings.word_embeddings.weight') ? 0 : 1);
  }
}
