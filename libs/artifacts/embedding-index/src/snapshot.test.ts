import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DataLossError, NotFoundError, UnsupportedError } from '@online-cnclip/foundation';
import { createIndex, loadSnapshot, saveSnapshot } from './index.ts';
import { randomVectors } from './testing.ts';

const folder = await mkdtemp(join(tmpdir(), 'snapshot-'));
after(() => rm(folder, { recursive: true }));

async function savedIndex(path: string) {
  const index = createIndex({ dimension: 100, fingerprint: 'abc' });
  const vectors = randomVectors(7_000, 100, 1);
  await index.upsert(
    vectors.map((_, i) => BigInt(i) * 10n ** 12n),
    vectors,
  );
  await index.delete([3n * 10n ** 12n]);
  assert.equal(await saveSnapshot(index, path), index.revision);
  return { index, vectors };
}

test('what is loaded answers as what was saved, bit for bit', async () => {
  const path = join(folder, 'whole.index');
  const { index, vectors } = await savedIndex(path);
  const loaded = await loadSnapshot(path, { maxItems: 7_000 });
  assert.equal(loaded.size, 6_999);
  assert.equal(loaded.fingerprint, 'abc');
  assert.deepEqual(loaded.createTime, index.createTime);
  const queries = vectors.slice(0, 5);
  assert.deepEqual(await loaded.search(queries, 10), await index.search(queries, 10));
  const empty = createIndex({ dimension: 4 });
  await saveSnapshot(empty, path);
  const reloaded = await loadSnapshot(path);
  assert.deepEqual([reloaded.size, reloaded.fingerprint], [0, undefined]);
  assert.deepEqual(await readdir(folder), ['whole.index'], 'no temporary file is left');
});

test('damage is noticed', async () => {
  const path = join(folder, 'damaged.index');
  await savedIndex(path);
  const good = await readFile(path);
  const damaged = async (change: (bytes: Buffer) => Buffer) => {
    await writeFile(path, change(Buffer.from(good)));
    return loadSnapshot(path);
  };
  const flip = (position: number) => (bytes: Buffer) => {
    bytes[position] = (bytes[position] as number) ^ 1;
    return bytes;
  };
  await assert.rejects(damaged(flip(0)), /is not a snapshot/);
  await assert.rejects(damaged(flip(8)), UnsupportedError);
  await assert.rejects(damaged(flip(15)), /its header claims/);
  await assert.rejects(damaged(flip(16)), /its header is damaged/);
  for (const position of [200, 60_000, good.length - 40, good.length - 1])
    await assert.rejects(damaged(flip(position)), DataLossError);
  for (const length of [0, 10, 30, 1_000, good.length - 1])
    await assert.rejects(
      damaged((bytes) => bytes.subarray(0, length)),
      DataLossError,
    );
  const lie = good.toString('latin1').replace('"items":6999', '"items":9999');
  await assert.rejects(
    damaged(() => Buffer.from(lie, 'latin1')),
    /where its header claims/,
  );
  await assert.rejects(loadSnapshot(join(folder, 'none')), NotFoundError);
});
