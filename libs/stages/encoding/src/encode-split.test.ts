// Reads the data set that Python's lmdb and pickle wrote (test/goldens/dataset) and its .tsv and .jsonl.
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NotFoundError } from '@online-cnclip/foundation';
import { type EncodeProgress, type Encoder, encodeSplit } from './encode-split.ts';
import { fakeVector } from './testing.ts';

const DATASET = fileURLToPath(new URL('../../../../test/goldens/dataset', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'encode-split-'));
after(() => rm(folder, { recursive: true }));

/** Gives each input a vector that tells its content. */
const encoder: Encoder = {
  encodeTexts: async (texts) =>
    texts.map((text) => ({ ok: true, value: fakeVector(Array.from(text, (c) => c.charCodeAt(0))) })),
  encodeImages: async (files) => files.map((file) => ({ ok: true, value: fakeVector(file) })),
};

async function readLines(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(path, 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

async function expectedImages(): Promise<Map<number, number[]>> {
  const lines = (await readFile(join(DATASET, 'valid_imgs.tsv'), 'utf8')).trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [id, base64 = ''] = line.split('\t');
      return [Number(id), [...fakeVector(Buffer.from(base64, 'base64url'))]];
    }),
  );
}

test('a split becomes the two files of extract_features.py', async () => {
  const progress: EncodeProgress[] = [];
  const files = await encodeSplit({
    encoder,
    dataDir: DATASET,
    split: 'valid',
    outputDir: folder,
    onProgress: (one) => progress.push(one),
  });
  const images = await expectedImages();
  assert.deepEqual(files, [
    { kind: 'images', path: join(folder, 'valid_imgs.img_feat.jsonl'), features: images.size },
    { kind: 'texts', path: join(folder, 'valid_texts.txt_feat.jsonl'), features: files[1]?.features },
  ]);
  const written = await readLines(join(folder, 'valid_imgs.img_feat.jsonl'));
  assert.deepEqual(new Map(written.map((line) => [line['image_id'], line['feature']])), images);
  const texts = await readLines(join(DATASET, 'valid_texts.jsonl'));
  assert.deepEqual(
    await readLines(join(folder, 'valid_texts.txt_feat.jsonl')),
    texts.map((line) => ({
      text_id: line['text_id'],
      feature: [...fakeVector(Array.from(line['text'] as string, (c) => c.charCodeAt(0)))],
    })),
  );
  assert.deepEqual(progress.at(-1), { kind: 'texts', written: texts.length, total: undefined });
  assert.deepEqual(progress.filter(({ kind }) => kind === 'images').at(-1), {
    kind: 'images',
    written: images.size,
    total: images.size,
  });
});

test('without an LMDB the images come from the .tsv', async () => {
  await copyFile(join(DATASET, 'valid_imgs.tsv'), join(folder, 'valid_imgs.tsv'));
  const [file] = await encodeSplit({ encoder, dataDir: folder, split: 'valid', kinds: ['images'] });
  const written = await readLines(file?.path ?? '');
  assert.deepEqual(
    new Map(written.map((line) => [line['image_id'], line['feature']])),
    await expectedImages(),
  );
});

test('a split that is not there is named', async () => {
  await assert.rejects(encodeSplit({ encoder, dataDir: folder, split: 'nowhere' }), NotFoundError);
  const lmdbDir = join(folder, 'lmdb');
  await assert.rejects(encodeSplit({ encoder, dataDir: folder, split: 'valid', lmdbDir }), NotFoundError);
});
