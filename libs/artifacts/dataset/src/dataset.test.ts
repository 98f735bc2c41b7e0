import assert from 'node:assert/strict';
import { cp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ApplicationError, DataLossError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { openDataset } from './dataset.ts';
import { LmdbWriter } from './lmdb/lmdb-writer.ts';
import { GOLDEN_LMDB, goldenImages, goldenPairs, temporaryFolder } from './testing/goldens.ts';

test('opens the golden split: pairs and images equal', async () => {
  const dataset = openDataset(join(GOLDEN_LMDB, 'valid'));
  const pairs = await goldenPairs();
  assert.equal(dataset.pairs, pairs.length);
  assert.deepEqual(
    pairs.map((_, i) => dataset.pair(i)),
    pairs.map(([imageId, textId, text]) => ({ imageId: String(imageId), textId: String(textId), text })),
  );
  const images = await goldenImages('valid');
  assert.equal(dataset.images, images.size);
  for (const [id, base64] of images)
    assert.ok(dataset.image(id).equals(Buffer.from(base64, 'base64url')), id);
  assert.deepEqual([...dataset.imageIds()], [...images.keys()].sort());
  for (const { imageId, image } of dataset.imagesInOrder()) assert.ok(image.equals(dataset.image(imageId)));
  dataset.close();
});

test('opens a split of images only', async () => {
  const dataset = openDataset(join(GOLDEN_LMDB, 'test'));
  assert.equal(dataset.pairs, 0);
  assert.equal(dataset.images, (await goldenImages('test')).size);
  assert.throws(() => dataset.pair(0), InvalidInputError);
  dataset.close();
});

test('names what is not there', () => {
  const dataset = openDataset(join(GOLDEN_LMDB, 'valid'));
  assert.throws(() => dataset.image('5'), NotFoundError);
  assert.throws(() => dataset.image('num_images'), NotFoundError);
  for (const index of [-1, 0.5, dataset.pairs, Number.NaN])
    assert.throws(() => dataset.pair(index), InvalidInputError);
  dataset.close();
  dataset.close();
  assert.throws(() => dataset.pair(0), ApplicationError);
  assert.throws(() => openDataset(join(GOLDEN_LMDB, 'none')), NotFoundError);
});

test('refuses a build that did not reach its end, a damaged pair and a damaged image', async (t) => {
  const folder = await temporaryFolder(t);
  const writeLmdb = async (name: string, entries: Record<string, string>) => {
    await rm(join(folder, name), { recursive: true, force: true });
    const writer = new LmdbWriter(join(folder, name), 2 ** 20);
    await writer.insert(Object.entries(entries).map(([k, v]) => [Buffer.from(k), Buffer.from(v)]));
    await writer.close();
  };
  await writeLmdb('imgs', { 1: 'AAAA' });
  assert.throws(() => openDataset(folder), { name: DataLossError.name, message: /num_images/ });
  await writeLmdb('imgs', { 1: 'AAAA', 2: 'A*AA', num_images: '2' });
  await writeLmdb('pairs', { 0: 'cos\nsystem\n' });
  assert.throws(() => openDataset(folder), { name: DataLossError.name, message: /num_samples/ });
  await writeLmdb('pairs', { 0: 'cos\nsystem\n', num_samples: '2' });
  const dataset = openDataset(folder);
  assert.throws(() => dataset.pair(0), { name: DataLossError.name, place: /pair 0/ });
  assert.throws(() => dataset.pair(1), DataLossError);
  assert.throws(() => dataset.image('2'), { name: DataLossError.name, place: /image 2/ });
  assert.deepEqual([...dataset.image('1')], [0, 0, 0]);
  dataset.close();
});

test('is read by several worker threads at a time, without a file left beside it', async (t) => {
  const folder = join(await temporaryFolder(t), 'valid');
  await cp(join(GOLDEN_LMDB, 'valid'), folder, { recursive: true });
  const script = join(folder, '../worker.ts');
  await writeFile(
    script,
    `import { parentPort } from 'node:worker_threads';
     import { openDataset } from ${JSON.stringify(new URL('./dataset.ts', import.meta.url).href)};
     const dataset = openDataset(${JSON.stringify(folder)});
     let bytes = 0;
     for (let round = 0; round < 20; round += 1)
       for (let i = 0; i < dataset.pairs; i += 1) bytes += dataset.image(dataset.pair(i).imageId).length;
     dataset.close();
     parentPort.postMessage(bytes);`,
  );
  const totals = await Promise.all(
    [1, 2, 3].map(
      () =>
        new Promise<number>((resolve, reject) =>
          new Worker(script).once('message', resolve).once('error', reject),
        ),
    ),
  );
  assert.ok((totals[0] as number) > 0);
  assert.deepEqual(totals, [totals[0], totals[0], totals[0]]);
  assert.deepEqual(await readdir(join(folder, 'imgs')), ['data.mdb']);
});
