// The towers against torch 2.15 + cn_clip 1.6 (test/goldens/README.md), through batching as the service does it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadParameters, readSafetensors } from '@online-cnclip/checkpoint';
import { type NamedArrays, type NdArray, requireFloat32 } from '@online-cnclip/foundation';
import {
  imageEncoderProgram,
  type ModelConfig,
  parameterSpecs,
  parseTextConfig,
  parseVisionConfig,
  textEncoderProgram,
} from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { ImageTower } from './image-tower.ts';
import type { Outcome } from './outcome.ts';
import { FakeDecoder } from './testing.ts';
import { TextTower } from './text-tower.ts';

const GOLDENS = fileURLToPath(new URL('../../../../test/goldens/model', import.meta.url));
/** Scaled by the largest number of the reference. */
const TOLERANCE = 1e-5;

for (const name of ['vit', 'resnet'])
  describe(`golden model ${name}`, () => {
    const runtime = createOnnxRuntime({ threads: 1 });
    let cases: NamedArrays;
    let texts: TextTower;
    let images: ImageTower;

    before(async () => {
      const folder = join(GOLDENS, name);
      cases = await readSafetensors(join(folder, 'cases.safetensors'));
      const config = await readModelConfig(folder);
      const { parameters } = await loadParameters(join(folder, 'checkpoint.pt'), parameterSpecs(config));
      texts = new TextTower(await runtime.prepare(textEncoderProgram(config, parameters)));
      images = new ImageTower({
        executable: await runtime.prepare(imageEncoderProgram(config, parameters)),
        decoder: new FakeDecoder(),
        resolution: config.vision.imageResolution,
        patches: 400,
      });
    });
    after(() => runtime.dispose());

    test('text features, each trimmed and batched with others of its length', async () => {
      const outcomes = await texts.encode(rowsOf<Int32Array>(cases, 'input_ids').map(trim));
      assertClose(outcomes.map(vectorOf), requireFloat32(cases, 'text_features_normalized'));
    });

    test('image features, in micro-batches', async () => {
      const rows = rowsOf<Float32Array>(cases, 'images');
      const vectors = await Promise.all(rows.map((pixels) => images.encodePixels(pixels)));
      assertClose(vectors, requireFloat32(cases, 'image_features_normalized'));
    });
  });

async function readModelConfig(folder: string): Promise<ModelConfig> {
  const read = async (file: string): Promise<unknown> =>
    JSON.parse(await readFile(join(folder, file), 'utf8'));
  return {
    vision: parseVisionConfig(await read('vision_model_config.json')),
    text: parseTextConfig(await read('text_model_config.json')),
  };
}

function rowsOf<T extends Float32Array | Int32Array>(arrays: NamedArrays, name: string): T[] {
  const { shape, data } = arrays.get(name) as NdArray<'float32' | 'int32'>;
  const width = data.length / (shape[0] as number);
  return Array.from(
    { length: shape[0] as number },
    (_, row) => data.slice(row * width, (row + 1) * width) as T,
  );
}

/** Padding is 0, and no token is. */
const trim = (ids: Int32Array): Int32Array =>
  ids.slice(0, ids.indexOf(0) === -1 ? ids.length : ids.indexOf(0));

function vectorOf(outcome: Outcome<Float32Array>): Float32Array {
  if (!outcome.ok) throw outcome.error;
  return outcome.value;
}

function assertClose(vectors: readonly Float32Array[], expected: NdArray<'float32'>): void {
  const actual = vectors.flatMap((vector) => [...vector]);
  assert.equal(actual.length, expected.data.length);
  const scale = Math.max(...expected.data.map(Math.abs));
  const error =
    Math.max(...actual.map((value, index) => Math.abs(value - (expected.data[index] as number)))) / scale;
  assert.ok(error < TOLERANCE, `largest error ${error}`);
}
