import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CancelledError, InvalidInputError } from '@online-cnclip/foundation';
import { writeFeatureFile } from './feature-file.ts';
import { createFakeModel, fakeVector } from './testing.ts';

const folder = await mkdtemp(join(tmpdir(), 'features-'));
after(() => rm(folder, { recursive: true }));

async function* images(count: number, badId = -1) {
  for (let id = 0; id < count; id++) yield { id, input: id === badId ? new Uint8Array() : Uint8Array.of(id) };
}

function setUp(name: string, sources: ReturnType<typeof images>, latencyMs = 0) {
  const { model, decoder } = createFakeModel({ latencyMs });
  const path = join(folder, name);
  const progress: number[] = [];
  const write = (signal?: AbortSignal) =>
    writeFeatureFile({
      path,
      idKey: 'image_id',
      sources,
      groupSize: 8,
      encode: (files, signal) => model.encodeImages(files, signal),
      onProgress: (written) => progress.push(written),
      signal,
    });
  return { path, progress, write, decoder };
}

test('one line per input in their order, in the layout that Python writes', async () => {
  const { path, progress, write } = setUp('imgs.img_feat.jsonl', images(50));
  assert.equal(await write(), 50);
  const lines = (await readFile(path, 'utf8')).split('\n');
  assert.equal(lines.pop(), '');
  lines.forEach((line, id) => {
    const { image_id, feature } = JSON.parse(line);
    assert.equal(image_id, id);
    assert.deepEqual(Float32Array.from(feature), fakeVector(new Array(12).fill(id)));
  });
  assert.match(lines[0] ?? '', /^\{"image_id": 0, "feature": \[1, 0, 0, 0\]\}$/);
  assert.deepEqual(progress, [8, 16, 24, 32, 40, 48, 50]);
});

test('ids beyond 2^53 are kept to the digit', async () => {
  const path = join(folder, 'large.jsonl');
  const sources = [{ id: 9_007_199_254_740_993n, input: 'a' }];
  const { model } = createFakeModel();
  await writeFeatureFile({
    path,
    idKey: 'text_id',
    sources,
    groupSize: 8,
    encode: (texts, signal) => model.encodeTexts(texts, signal),
  });
  assert.match(await readFile(path, 'utf8'), /^\{"text_id": 9007199254740993, /);
});

test('no input, an empty file', async () => {
  const { path, write } = setUp('empty.jsonl', images(0));
  assert.equal(await write(), 0);
  assert.equal(await readFile(path, 'utf8'), '');
});

test('an input that cannot be encoded is named, and the old file stays', async () => {
  const { path, write } = setUp('bad.jsonl', images(50, 37));
  await writeFile(path, 'old');
  await assert.rejects(
    write(),
    (error) => error instanceof InvalidInputError && /image_id 37.*empty/.test(error.message),
  );
  assert.equal(await readFile(path, 'utf8'), 'old');
  assert.ok((await readdir(folder)).every((name) => !name.endsWith('.tmp')));
});

test('cancelling stops soon and leaves nothing', async () => {
  const { write, path } = setUp('cancelled.jsonl', images(100_000), 2);
  const controller = new AbortController();
  const writing = write(controller.signal);
  setTimeout(() => controller.abort(), 30);
  await assert.rejects(writing, CancelledError);
  await assert.rejects(readFile(path));
});
