import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  InvalidInputError,
  type NamedArrays,
  type NdArray,
  UnsupportedError,
} from '@online-cnclip/foundation';
import { convertCheckpoint, stripCheckpoint } from './convert-checkpoint.ts';
import { inspectCheckpoint } from './inspect-checkpoint.ts';
import { huggingFaceConfig } from './naming/huggingface-config.ts';
import { readCheckpoint } from './read-checkpoint.ts';
import { readSafetensorsMetadata } from './safetensors/safetensors-file.ts';
import { float32Array, golden, plain, temporaryFolder } from './testing/goldens.ts';
import { writeCheckpoint } from './torch/write-checkpoint.ts';

const folder = temporaryFolder();
const source = golden('vit/checkpoint.pt');
const original = await readCheckpoint(source);
const referenceConfig = JSON.parse(readFileSync(golden('vit/huggingface/config.json'), 'utf8'));
const heads = {
  visionHeads: referenceConfig.vision_config.num_attention_heads,
  textHeads: referenceConfig.text_config.num_attention_heads,
};

test('each format by its extension, there and back', async () => {
  for (const [target, format] of [
    ['a.pt', 'pt'],
    ['a.bin', 'pt'],
    ['a.safetensors', 'safetensors'],
    ['folder', 'huggingface'],
  ]) {
    const path = join(folder, target as string);
    const conversion = await convertCheckpoint(source, path, heads);
    assert.deepEqual(conversion, { format, dropped: [] });
    const { parameters, ...rest } = await readCheckpoint(path);
    assert.deepEqual(plain(parameters), plain(original.parameters));
    assert.deepEqual([rest.epoch, rest.step, rest.name], [original.epoch, original.step, original.name]);
    const back = join(folder, 'back.pt');
    await convertCheckpoint(path, back, { modulePrefix: false });
    assert.deepEqual(plain((await readCheckpoint(back)).parameters), plain(original.parameters));
  }
  await assert.rejects(convertCheckpoint(source, join(folder, 'a.onnx')), InvalidInputError);
});

test('pt-fp16 is what torch makes of the same weights', async () => {
  const path = join(folder, 'half.pt');
  await convertCheckpoint(source, path, { format: 'pt-fp16' });
  const reference = await readCheckpoint(golden('vit/checkpoint-fp16.pt'));
  assert.deepEqual(plain((await readCheckpoint(path)).parameters), plain(reference.parameters));
});

test('the written config.json is what transformers needs for these weights', async () => {
  const path = join(folder, 'hf');
  await convertCheckpoint(source, path, heads);
  const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  // Dropout is no part of a checkpoint: the reference's 0 is the golden model's own.
  const reference = structuredClone(referenceConfig);
  reference.text_config.hidden_dropout_prob = 0.1;
  reference.text_config.attention_probs_dropout_prob = 0.1;
  assert.deepEqual(config, reference);
  assert.equal((await readSafetensorsMetadata(join(path, 'model.safetensors')))['format'], 'pt');
});

test('heads: 64 wide unless told, 80 in ViT-H-14', async () => {
  const wide = new Map<string, NdArray>(original.parameters);
  const pretend = (name: string, shape: number[]) => wide.set(name, { ...float32Array([], [0]), shape });
  pretend('visual.conv1.weight', [1280, 3, 14, 14]);
  pretend('bert.embeddings.word_embeddings.weight', [21128, 1024]);
  const config = JSON.parse(JSON.stringify(huggingFaceConfig(wide)));
  assert.equal(config.vision_config.num_attention_heads, 16);
  assert.equal(config.text_config.num_attention_heads, 16);
  pretend('visual.conv1.weight', [100, 3, 14, 14]);
  assert.throws(() => huggingFaceConfig(wide), /visionHeads: width 100/);
  const resnet = golden('resnet/checkpoint.pt');
  await assert.rejects(convertCheckpoint(resnet, join(folder, 'rn')), UnsupportedError);
});

async function training(path: string): Promise<void> {
  const moments: NamedArrays = new Map(
    [...original.parameters].map(([name, { shape, data }]) => [
      name,
      { dtype: 'float32', shape, data: new Float32Array(data.length) },
    ]),
  );
  const optimizer = { kind: 'lamb', step: 5, expAvg: moments, expAvgSq: moments } as const;
  await writeCheckpoint(path, { ...original, optimizer, extra: { seed: 1 } });
}

test('inspecting reads the headers only', async () => {
  const path = join(folder, 'training.pt');
  await training(path);
  const summary = await inspectCheckpoint(path);
  assert.equal(summary.format, 'torch-zip');
  assert.deepEqual(summary.optimizer, { kind: 'lamb', step: 5 });
  assert.deepEqual(
    [summary.epoch, summary.step, summary.name],
    [original.epoch, original.step, original.name],
  );
  assert.deepEqual(summary.extra, { seed: 1 });
  const count = [...original.parameters.values()].reduce((sum, { data }) => sum + data.length, 0);
  assert.equal(summary.parameterCount, count);
  assert.deepEqual(
    summary.tensors.map(({ name, type, shape }) => [name, type, shape]),
    [...original.parameters].map(([name, { shape }]) => [`module.${name}`, 'float32', shape]),
  );
  const half = await inspectCheckpoint(golden('vit/checkpoint-fp16.pt'));
  assert.deepEqual([half.precision, half.tensors[0]?.type], ['fp16', 'float16']);
  assert.equal((await inspectCheckpoint(golden('vit/huggingface'))).format, 'huggingface');
});

test('what a format has no place for is reported', async () => {
  const path = join(folder, 'training.pt');
  await training(path);
  const target = join(folder, 'dropping.safetensors');
  assert.deepEqual((await convertCheckpoint(path, target)).dropped, ['optimizer', 'extra']);
  const kept = join(folder, 'kept.pt');
  assert.deepEqual((await convertCheckpoint(path, kept)).dropped, []);
  assert.equal((await readCheckpoint(kept)).optimizer?.step, 5);
});

test('stripping leaves the parameters, in their precision', async () => {
  const path = join(folder, 'training.pt');
  await training(path);
  await stripCheckpoint(path, path);
  const stripped = await readCheckpoint(path);
  assert.equal(stripped.optimizer, undefined);
  assert.equal(stripped.extra, undefined);
  assert.equal(stripped.epoch, original.epoch);
  assert.deepEqual(plain(stripped.parameters), plain(original.parameters));
  await stripCheckpoint(golden('vit/checkpoint-fp16.pt'), path);
  assert.equal((await readCheckpoint(path)).precision, 'fp16');
});
