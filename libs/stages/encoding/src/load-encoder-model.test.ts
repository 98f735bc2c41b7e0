// Loads the golden ViT (torch's own checkpoint) as the service does, and compares with torch's features.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '@online-cnclip/checkpoint';
import { CancelledError, InvalidInputError, type NdArray, requireFloat32 } from '@online-cnclip/foundation';
import { parseTextConfig, parseVisionConfig } from '@online-cnclip/network';
import { createOnnxRuntime, type Runtime } from '@online-cnclip/runtime';
import { type LoadEncoderModelOptions, loadEncoderModel } from './load-encoder-model.ts';

const GOLDENS = fileURLToPath(new URL('../../../../test/goldens', import.meta.url));
const FOLDER = join(GOLDENS, 'model/vit');
const readJson = async (file: string): Promise<unknown> =>
  JSON.parse(await readFile(join(FOLDER, file), 'utf8'));

/** Counts runtimes made and disposed. */
function countedRuntimes() {
  const count = { open: 0 };
  const createRuntime = (): Runtime => {
    const runtime = createOnnxRuntime({ threads: 1 });
    count.open += 1;
    return {
      name: runtime.name,
      prepare: (program) => runtime.prepare(program),
      async dispose() {
        count.open -= 1;
        await runtime.dispose();
      },
    };
  };
  return { count, createRuntime };
}

async function goldenOptions(file: string): Promise<Omit<LoadEncoderModelOptions, 'createRuntime'>> {
  return {
    path: join(FOLDER, file),
    visionModel: 'golden-vision',
    textModel: 'golden-text',
    config: {
      vision: parseVisionConfig(await readJson('vision_model_config.json')),
      text: parseTextConfig(await readJson('text_model_config.json')),
    },
    contextLength: 24,
    decodeThreads: 1,
  };
}

test('the golden checkpoint gives torch’s features, encodes image files, and frees all it made', async () => {
  const { count, createRuntime } = countedRuntimes();
  const options = await goldenOptions('checkpoint.pt');
  const model = await loadEncoderModel({ ...options, createRuntime });
  const cases = await readSafetensors(join(FOLDER, 'cases.safetensors'));
  await model.verify();
  const { shape, data } = cases.get('input_ids') as NdArray<'int32'>;
  const [texts = 0, length = 0] = shape;
  const padded = Array.from({ length: texts }, (_, row) => data.slice(row * length, (row + 1) * length));
  const expected = requireFloat32(cases, 'text_features_normalized').data;
  const outcomes = await model.texts.encode(padded.map((ids) => ids.filter((id) => id !== 0)));
  const actual = outcomes.flatMap((outcome) => (outcome.ok ? [...outcome.value] : []));
  assert.equal(actual.length, expected.length);
  actual.forEach((value, index) => {
    assert.ok(Math.abs(value - (expected[index] as number)) < 1e-5);
  });
  const { embeddingDimension, logitScale, fingerprint } = model.description;
  assert.ok(Math.abs(logitScale / (requireFloat32(cases, 'logit_scale_exp').data[0] as number) - 1) < 1e-5);
  assert.match(fingerprint, /^[0-9a-f]{64}$/);
  const picture = await readFile(join(GOLDENS, 'augmentation/source.png'));
  const [good, bad] = await model.encodeImages([picture, picture.subarray(0, 100)]);
  assert.ok(good?.ok && good.value.length === embeddingDimension);
  assert.ok(!bad?.ok && bad?.error instanceof InvalidInputError);
  assert.equal(count.open, 2);
  await model.dispose();
  assert.equal(count.open, 0);
});

test('loading ends between two towers when it is cancelled, and frees what it made', async () => {
  const { count, createRuntime } = countedRuntimes();
  const controller = new AbortController();
  let made = 0;
  const loading = loadEncoderModel({
    ...(await goldenOptions('checkpoint.pt')),
    signal: controller.signal,
    createRuntime: () => {
      made += 1;
      controller.abort();
      return createRuntime();
    },
  });
  await assert.rejects(loading, CancelledError);
  assert.deepEqual([made, count.open], [1, 0]);
});

/** 2^-11 of a rounding, a few of which meet in a feature of unit length. */
const HALF_TOLERANCE = 5e-3;

test('half precision gives the same features, to its roundings, and says so in the fingerprint', async () => {
  const { createRuntime } = countedRuntimes();
  const picture = await readFile(join(GOLDENS, 'augmentation/source.png'));
  const vectors = new Map<string, Float32Array[]>();
  const fingerprints = new Set<string>();
  for (const precision of [undefined, 'fp32', 'amp', 'fp16'] as const) {
    const model = await loadEncoderModel({
      ...(await goldenOptions('checkpoint.pt')),
      createRuntime,
      precision,
    });
    await model.verify();
    const outcomes = [...(await model.encodeTexts([''])), ...(await model.encodeImages([picture]))];
    vectors.set(
      precision ?? 'fp32',
      outcomes.flatMap((outcome) => (outcome.ok ? [outcome.value] : [])),
    );
    assert.equal(model.description.precision, precision ?? 'fp32');
    fingerprints.add(model.description.fingerprint);
    await model.dispose();
  }
  assert.equal(fingerprints.size, 3, 'one per precision; fp32 is the default');
  const [exact, amp, fp16] = ['fp32', 'amp', 'fp16'].map((name) => vectors.get(name)?.map((row) => [...row]));
  const difference = (a?: number[][], b?: number[][]) =>
    Math.max(...(a ?? []).flatMap((row, i) => row.map((value, k) => Math.abs(value - (b?.[i]?.[k] ?? 9)))));
  assert.equal(exact?.length, 2);
  for (const half of [amp, fp16]) {
    assert.ok(difference(exact, half) < HALF_TOLERANCE, `off by ${difference(exact, half)}`);
    assert.ok(difference(exact, half) > 1e-6, 'it is no other arithmetic than fp32');
  }
  // Weights in single precision are rounded where they are multiplied: for the towers it comes to the same.
  assert.ok(difference(amp, fp16) < HALF_TOLERANCE);
});

test('the fingerprint tells weights apart, not files', async () => {
  const { createRuntime } = countedRuntimes();
  const fingerprints: string[] = [];
  for (const file of ['checkpoint.pt', 'huggingface', 'checkpoint-fp16.pt']) {
    const model = await loadEncoderModel({ ...(await goldenOptions(file)), createRuntime });
    fingerprints.push(model.description.fingerprint);
    await model.dispose();
  }
  const [torch, huggingFace, half] = fingerprints;
  assert.equal(torch, huggingFace);
  assert.notEqual(torch, half);
});

test('what does not fit is refused before anything is prepared', async () => {
  const { count, createRuntime } = countedRuntimes();
  const options = await goldenOptions('checkpoint-legacy-format-without-word-embeddings.pt');
  await assert.rejects(loadEncoderModel({ ...options, createRuntime }), /word_embeddings.*missing/);
  const { config: _, ...presets } = options;
  await assert.rejects(loadEncoderModel({ ...presets, createRuntime }), /golden-vision/);
  await assert.rejects(
    loadEncoderModel({ ...options, contextLength: 100_000, createRuntime }),
    InvalidInputError,
  );
  assert.equal(count.open, 0);
});
