import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CancelledError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { checkDataset } from './check-dataset.ts';
import { MAX_REPORTED_PROBLEMS } from './limits.ts';
import { LmdbWriter } from './lmdb/lmdb-writer.ts';
import { encodePair } from './pickled-pair.ts';
import { copyOfGoldens, GOLDEN_LMDB, goldenImages, goldenPairs, temporaryFolder } from './testing/goldens.ts';

const JPEG = '_9j_4AAA';

async function writeLmdb(
  folder: string,
  entries: Iterable<readonly [string, string | Buffer]>,
): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const writer = new LmdbWriter(folder, 2 ** 22);
  await writer.insert([...entries].map(([key, value]) => [Buffer.from(key), Buffer.from(value)]));
  await writer.close();
}

const pair = (imageId: string, textId: string, text: string) => encodePair({ imageId, textId, text });

test('finds nothing wrong with the golden splits', async () => {
  const progress: number[] = [];
  const reports = await checkDataset({
    lmdbDir: GOLDEN_LMDB,
    onProgress: ({ records, total }) => progress.push(records / total),
  });
  assert.deepEqual(reports, [
    { split: 'test', images: (await goldenImages('test')).size, pairs: 0, problemCount: 0, problems: [] },
    {
      split: 'valid',
      images: (await goldenImages('valid')).size,
      pairs: (await goldenPairs()).length,
      problemCount: 0,
      problems: [],
    },
  ]);
  assert.equal(progress.at(-1), 1);
});

test('lists every kind of problem with its place', async (t) => {
  const lmdbDir = await temporaryFolder(t);
  const folder = join(lmdbDir, 'train');
  await writeLmdb(join(folder, 'imgs'), [
    ['1', JPEG],
    ['2', 'A*AA'],
    ['3', 'AAAA'],
    ['x', JPEG],
    ['num_images', '7'],
  ]);
  await writeLmdb(join(folder, 'pairs'), [
    ['0', pair('1', '1', 'a')],
    ['1', pair('9', '1', 'b')],
    ['2', Buffer.from('junk')],
    ['num_samples', '4'],
  ]);
  const [report] = await checkDataset({ lmdbDir, splits: ['train'] });
  const imgs = join(folder, 'imgs/data.mdb');
  const pairs = join(folder, 'pairs/data.mdb');
  assert.deepEqual(report?.problems, [
    { place: `${imgs} image 2`, message: 'not base64 with padding' },
    { place: `${imgs} image 3`, message: 'does not begin as an image file' },
    { place: `${imgs} image x`, message: 'its id is not a 64-bit integer in decimal' },
    { place: imgs, message: 'num_images is 7, but there are 4' },
    { place: pairs, message: 'num_samples is 4, but there are 3 pairs' },
    { place: `${pairs} pair 1`, message: 'there is no image 9' },
    { place: `${pairs} pair 1`, message: 'text 1 is "b" here and "a" before' },
    {
      place: `${pairs} pair 2`,
      message:
        'not a pickled (image_id, text_id, text): it does not begin as a pickle of protocol 2 or above',
    },
    { place: `${pairs} pair 3`, message: 'missing' },
  ]);
  assert.equal(report?.problemCount, 9);
});

test('lists so many problems, and counts the rest', async (t) => {
  const lmdbDir = await temporaryFolder(t);
  const broken = MAX_REPORTED_PROBLEMS + 50;
  await writeLmdb(join(lmdbDir, 'train/imgs'), [
    ...Array.from({ length: broken }, (_, i) => [String(i), '*'] as const),
    ['num_images', String(broken)],
  ]);
  const [report] = await checkDataset({ lmdbDir });
  assert.equal(report?.problems.length, MAX_REPORTED_PROBLEMS);
  assert.equal(report?.problemCount, broken);
});

test('a damaged or missing LMDB is a problem, not a failure', async (t) => {
  const dataDir = await copyOfGoldens(t);
  const imgs = join(dataDir, 'lmdb/valid/imgs/data.mdb');
  await writeFile(imgs, (await readFile(imgs)).subarray(0, 9000));
  await rm(join(dataDir, 'lmdb/test/imgs'), { recursive: true });
  const reports = await checkDataset({ lmdbDir: join(dataDir, 'lmdb') });
  for (const { problemCount, problems } of reports) {
    assert.ok(problemCount > 0);
    assert.match(problems[0]?.place ?? '', /imgs/);
  }
});

test('refuses what is not there, and stops for the signal', async () => {
  await assert.rejects(checkDataset({ lmdbDir: join(GOLDEN_LMDB, 'none') }), NotFoundError);
  await assert.rejects(checkDataset({ lmdbDir: GOLDEN_LMDB, splits: ['none'] }), NotFoundError);
  await assert.rejects(checkDataset({ lmdbDir: GOLDEN_LMDB, splits: ['../lmdb'] }), InvalidInputError);
  await assert.rejects(checkDataset({ lmdbDir: GOLDEN_LMDB, signal: AbortSignal.abort() }), CancelledError);
});
