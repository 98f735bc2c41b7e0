import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DataLossError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { readCheckpoint } from './read-checkpoint.ts';
import { readSafetensors } from './safetensors/safetensors-file.ts';
import { golden, plain, temporaryFolder } from './testing/goldens.ts';

const folder = temporaryFolder();

test("torch's zip format: details, names without module., float32", async () => {
  const checkpoint = await readCheckpoint(golden('vit/checkpoint.pt'));
  assert.equal(checkpoint.format, 'torch-zip');
  assert.equal(checkpoint.precision, 'fp32');
  assert.equal(typeof checkpoint.epoch, 'number');
  assert.equal(typeof checkpoint.step, 'number');
  assert.equal(typeof checkpoint.name, 'string');
  assert.ok(checkpoint.parameters.has('visual.conv1.weight'));
  assert.ok(![...checkpoint.parameters.keys()].some((name) => name.startsWith('module.')));
});

test('a Hugging Face folder holds exactly the tensors of checkpoint.pt', async () => {
  const torch = await readCheckpoint(golden('vit/checkpoint.pt'));
  const huggingFace = await readCheckpoint(golden('vit/huggingface'));
  assert.equal(huggingFace.format, 'huggingface');
  assert.deepEqual(plain(huggingFace.parameters), plain(torch.parameters));
});

test('half precision is widened to the nearest halves of the full values', async () => {
  const full = await readCheckpoint(golden('vit/checkpoint.pt'));
  const half = await readCheckpoint(golden('vit/checkpoint-fp16.pt'));
  assert.equal(half.precision, 'fp16');
  const rounded = new Map(
    [...full.parameters].map(([name, array]) => [
      name,
      { ...array, data: new Float32Array(new Float16Array(array.data as Float32Array)) },
    ]),
  );
  assert.deepEqual(plain(half.parameters), plain(rounded));
});

test('the legacy format has the same tensors, less the missing one', async () => {
  const full = await readCheckpoint(golden('vit/checkpoint.pt'));
  const legacy = await readCheckpoint(golden('vit/checkpoint-legacy-format-without-word-embeddings.pt'));
  assert.equal(legacy.format, 'torch-legacy');
  const expected = new Map(full.parameters);
  assert.ok(expected.delete('bert.embeddings.word_embeddings.weight'));
  assert.deepEqual(plain(legacy.parameters), plain(expected));
});

test("ResNet's integer buffers stay int64", async () => {
  const { parameters } = await readCheckpoint(golden('resnet/checkpoint.pt'));
  const counters = [...parameters].filter(([name]) => name.endsWith('num_batches_tracked'));
  assert.ok(counters.length > 0);
  for (const [, array] of counters) assert.equal(array.dtype, 'int64');
});

test('safetensors with its own names', async () => {
  const path = golden('vit/cases.safetensors');
  assert.deepEqual(plain((await readCheckpoint(path)).parameters), plain(await readSafetensors(path)));
});

test('what is not there, or is something else, is said so', async () => {
  await assert.rejects(readCheckpoint(join(folder, 'absent.pt')), NotFoundError);
  mkdirSync(join(folder, 'empty'));
  await assert.rejects(readCheckpoint(join(folder, 'empty')), NotFoundError);
  for (const content of ['', 'P', '<!doctype html><html></html>'])
    await assert.rejects(readCheckpoint(fileWith(content)), InvalidInputError);
});

test('a file cut anywhere is refused as damaged', async () => {
  for (const name of ['checkpoint.pt', 'checkpoint-legacy-format-without-word-embeddings.pt']) {
    const whole = readFileSync(golden(`vit/${name}`)).length;
    for (const part of [0.001, 0.01, 0.3, 0.9, 0.9999]) {
      const path = join(folder, 'cut.pt');
      copyFileSync(golden(`vit/${name}`), path);
      truncateSync(path, Math.floor(whole * part));
      await assert.rejects(readCheckpoint(path), DataLossError, `${name} cut to ${part}`);
    }
  }
});

test('a flipped bit in a stored tensor is found by its checksum', async () => {
  const bytes = readFileSync(golden('vit/checkpoint.pt'));
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] as number) ^ 1;
  await assert.rejects(readCheckpoint(fileWith(bytes)), /checksum differs/);
});

function fileWith(content: string | Buffer): string {
  const path = join(folder, 'file');
  writeFileSync(path, content);
  return path;
}
