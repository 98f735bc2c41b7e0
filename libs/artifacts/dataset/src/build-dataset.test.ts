import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, readdir, readFile, rename, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  AbortedError,
  CancelledError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
} from '@online-cnclip/foundation';
import { type BuildDatasetOptions, buildDataset } from './build-dataset.ts';
import type { BuildProgress } from './build-split.ts';
import { openDataset } from './dataset.ts';
import { writeImagesTsv } from './images-tsv.ts';
import { ABANDONED_AFTER_MS } from './limits.ts';
import { LmdbReader } from './lmdb/lmdb-reader.ts';
import {
  copyOfGoldens,
  GOLDEN_LMDB,
  GOLDENS,
  goldenImages,
  goldenPairs,
  temporaryFolder,
} from './testing/goldens.ts';
import { writeTextsJsonl } from './texts-jsonl.ts';

function entriesOf(folder: string): [string, string][] {
  const lmdb = new LmdbReader(folder);
  const entries = [...lmdb].map(({ key, value }): [string, string] => [String(key), value().toString('hex')]);
  lmdb.close();
  return entries;
}

test("writes the keys and values of Python's LMDB, to the byte", async (t) => {
  const lmdbDir = await temporaryFolder(t);
  const progress: BuildProgress[] = [];
  const built = await buildDataset({
    dataDir: GOLDENS,
    splits: ['valid', 'test', 'valid'],
    lmdbDir,
    onProgress: (event) => progress.push(event),
  });
  const images = (await goldenImages('valid')).size;
  const pairs = (await goldenPairs()).length;
  assert.deepEqual(built, [
    { split: 'valid', lmdbPath: join(lmdbDir, 'valid'), images, pairs },
    { split: 'test', lmdbPath: join(lmdbDir, 'test'), images: (await goldenImages('test')).size, pairs: 0 },
  ]);
  for (const part of ['valid/imgs', 'valid/pairs', 'test/imgs'])
    assert.deepEqual(entriesOf(join(lmdbDir, part)), entriesOf(join(GOLDEN_LMDB, part)));
  assert.deepEqual(await readdir(join(lmdbDir, 'test')), await readdir(join(GOLDEN_LMDB, 'test')));
  assert.deepEqual((await readdir(lmdbDir)).sort(), ['test', 'valid']);
  const last = progress.filter(({ split, phase }) => split === 'valid' && phase === 'images').at(-1);
  assert.equal(last?.records, images);
  assert.equal(last?.bytesDone, last?.bytesTotal);
});

test('gives the same whatever is read at a time and however small the map', async (t) => {
  const lmdbDir = await temporaryFolder(t);
  await buildDataset({ dataDir: GOLDENS, splits: ['valid'], lmdbDir, readBytes: 700, mapBytes: 2 ** 16 });
  for (const part of ['valid/imgs', 'valid/pairs'])
    assert.deepEqual(entriesOf(join(lmdbDir, part)), entriesOf(join(GOLDEN_LMDB, part)));
});

test('keeps the order of pairs, more of them than one transaction holds', async (t) => {
  const dataDir = await temporaryFolder(t);
  const imageIds = Array.from({ length: 130 }, (_, i) => i * 3 - 100);
  await writeImagesTsv(
    join(dataDir, 'train_imgs.tsv'),
    imageIds.map((imageId) => ({ imageId, image: Buffer.from(`image ${imageId}`) })),
  );
  const texts = Array.from({ length: 100 }, (_, i) => ({ textId: 2 ** 40 + i, text: `文 ${i}`, imageIds }));
  await writeTextsJsonl(join(dataDir, 'train_texts.jsonl'), texts);
  const [built] = await buildDataset({ dataDir, splits: ['train'] });
  const dataset = openDataset(join(dataDir, 'lmdb/train'));
  assert.equal(built?.pairs, 13_000);
  for (const i of [0, 1, 129, 130, 4999, 5000, 12_999])
    assert.deepEqual(dataset.pair(i), {
      imageId: String(imageIds[i % 130]),
      textId: String(2 ** 40 + Math.floor(i / 130)),
      text: `文 ${Math.floor(i / 130)}`,
    });
  assert.equal(String(dataset.image('-100')), 'image -100');
  dataset.close();
});

/** Builds `valid` anew over the golden one, which must fail and leave it as it was. */
async function assertKept(
  dataDir: string,
  options: Partial<BuildDatasetOptions>,
  error: Parameters<typeof assert.rejects>[1],
): Promise<void> {
  const before = await Promise.all(
    ['imgs', 'pairs'].map((part) => readFile(join(dataDir, 'lmdb/valid', part, 'data.mdb'))),
  );
  await assert.rejects(buildDataset({ dataDir, splits: ['valid'], ...options }), error);
  assert.deepEqual(
    await Promise.all(
      ['imgs', 'pairs'].map((part) => readFile(join(dataDir, 'lmdb/valid', part, 'data.mdb'))),
    ),
    before,
  );
  assert.deepEqual((await readdir(join(dataDir, 'lmdb'))).sort(), ['test', 'valid']);
}

test('a broken line is named, and the old build stays', async (t) => {
  const dataDir = await copyOfGoldens(t);
  const texts = join(dataDir, 'valid_texts.jsonl');
  const lines = (await readFile(texts, 'utf8')).trim().split('\n').length;
  await appendFile(texts, '{"text_id": 1, "text": "a", "image_ids": [5]}\n');
  await assertKept(
    dataDir,
    {},
    { name: InvalidInputError.name, message: `${texts}:${lines + 1}: there is no image 5` },
  );

  const images = join(dataDir, 'valid_imgs.tsv');
  const [first] = await goldenImages('valid');
  const count = (await goldenImages('valid')).size;
  await appendFile(images, `1\tAAAA\n${first?.[0]}\tAAAA\n`);
  const place = `${images}:${count + 2}`;
  await assertKept(dataDir, {}, { name: InvalidInputError.name, place, message: /earlier line/ });
  await assertKept(dataDir, { readBytes: 900 }, { name: InvalidInputError.name, place });
  await writeFile(images, '2\tAA\n');
  await assertKept(dataDir, {}, { name: InvalidInputError.name, message: /:1: image 2 is not base64/ });
  await rename(images, `${images}.away`);
  await assertKept(dataDir, {}, { name: NotFoundError.name, place: images });
});

test('a cancelled build leaves the old one', async (t) => {
  const dataDir = await copyOfGoldens(t);
  for (const at of ['images', 'pairs']) {
    const controller = new AbortController();
    const onProgress = ({ phase }: BuildProgress) => phase === at && controller.abort();
    await assertKept(dataDir, { onProgress, signal: controller.signal, readBytes: 4096 }, CancelledError);
  }
  await assertKept(dataDir, { signal: AbortSignal.abort() }, CancelledError);
});

test('a killed build leaves the old one, and the next removes what is left of it', async (t) => {
  const dataDir = await copyOfGoldens(t);
  const lmdbDir = join(dataDir, 'lmdb');
  const before = entriesOf(join(lmdbDir, 'valid/imgs'));
  const script = fileURLToPath(new URL('testing/killed-build.ts', import.meta.url));
  const child = spawn(process.execPath, [script, dataDir, lmdbDir], { stdio: 'inherit' });
  const [, signal] = await once(child, 'exit');
  assert.equal(signal, 'SIGKILL');
  assert.equal((await readdir(lmdbDir)).filter((name) => name.startsWith('.valid.building-')).length, 1);
  assert.deepEqual(entriesOf(join(lmdbDir, 'valid/imgs')), before);
  await buildDataset({ dataDir, splits: ['valid'] });
  assert.deepEqual((await readdir(lmdbDir)).sort(), ['test', 'valid']);
  assert.deepEqual(entriesOf(join(lmdbDir, 'valid/imgs')), before);
});

test('a build killed between its two renames loses nothing', async (t) => {
  const dataDir = await copyOfGoldens(t);
  const lmdbDir = join(dataDir, 'lmdb');
  const stepAside = () => rename(join(lmdbDir, 'valid'), join(lmdbDir, '.valid.replaced-host-1-00'));
  await stepAside();
  const dataset = openDataset(join(lmdbDir, 'valid'));
  assert.equal(dataset.pairs, (await goldenPairs()).length);
  dataset.close();
  await stepAside();
  await writeFile(join(dataDir, 'valid_imgs.tsv'), 'broken');
  await assert.rejects(buildDataset({ dataDir, splits: ['valid'] }), InvalidInputError);
  assert.deepEqual(entriesOf(join(lmdbDir, 'valid/pairs')), entriesOf(join(GOLDEN_LMDB, 'valid/pairs')));
});

test('one build of a split at a time', async (t) => {
  const dataDir = await copyOfGoldens(t);
  const results = await Promise.allSettled([1, 2].map(() => buildDataset({ dataDir, splits: ['valid'] })));
  const refused = results.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  assert.equal(refused.length, 1);
  assert.ok(refused[0]?.reason instanceof AbortedError);
});

test("leaves another host's build alone until it is abandoned", async (t) => {
  const dataDir = await copyOfGoldens(t);
  const other = join(dataDir, 'lmdb/.valid.building-elsewhere-1-00');
  await mkdir(other);
  await buildDataset({ dataDir, splits: ['valid'] });
  assert.ok((await readdir(join(dataDir, 'lmdb'))).includes('.valid.building-elsewhere-1-00'));
  const longAgo = new Date(Date.now() - 2 * ABANDONED_AFTER_MS);
  await utimes(other, longAgo, longAgo);
  await buildDataset({ dataDir, splits: ['valid'] });
  assert.deepEqual((await readdir(join(dataDir, 'lmdb'))).sort(), ['test', 'valid']);
});

test('whoever has a split open goes on reading it when it is replaced', async (t) => {
  const dataDir = await copyOfGoldens(t);
  const old = openDataset(join(dataDir, 'lmdb/valid'));
  const image = old.image(old.pair(0).imageId);
  await writeImagesTsv(join(dataDir, 'valid_imgs.tsv'), [{ imageId: 1, image: Buffer.from('new') }]);
  await writeTextsJsonl(join(dataDir, 'valid_texts.jsonl'), [{ textId: 1, text: 'a', imageIds: [1] }]);
  await buildDataset({ dataDir, splits: ['valid'] });
  assert.ok(old.image(old.pair(0).imageId).equals(image));
  old.close();
  const replaced = openDataset(join(dataDir, 'lmdb/valid'));
  assert.deepEqual([replaced.images, replaced.pairs], [1, 1]);
  replaced.close();
});

test('deletes nothing that is no part of a data set', async (t) => {
  const dataDir = await copyOfGoldens(t);
  const notes = join(dataDir, 'lmdb/valid/notes.txt');
  await writeFile(notes, 'keep');
  await assert.rejects(buildDataset({ dataDir, splits: ['valid'] }), {
    name: FailedPreconditionError.name,
    message: /notes\.txt/,
  });
  assert.equal(await readFile(notes, 'utf8'), 'keep');
});

test('refuses names that are no splits', async (t) => {
  const dataDir = await copyOfGoldens(t);
  for (const splits of [[], ['../valid'], ['a/b'], ['.valid'], [''], ['a'.repeat(200)]])
    await assert.rejects(buildDataset({ dataDir, splits }), InvalidInputError, splits.join());
});

test('a reader opens a split at any moment of its being replaced', async (t) => {
  const dataDir = await copyOfGoldens(t);
  const folder = join(dataDir, 'lmdb/valid');
  const script = fileURLToPath(new URL('testing/opens-repeatedly.ts', import.meta.url));
  const reader = spawn(process.execPath, [script, folder], { stdio: ['pipe', 'inherit', 'inherit'] });
  const exited = once(reader, 'exit');
  for (let round = 0; round < 30; round += 1) await buildDataset({ dataDir, splits: ['valid'] });
  reader.stdin.end();
  assert.deepEqual(await exited, [0, null]);
});
