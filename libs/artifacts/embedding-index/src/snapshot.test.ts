import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DataLossError, UnsupportedError } from '@online-cnclip/foundation';
import { formatHeader } from './files/snapshot-format.ts';
import { ExactEngine } from './index.ts';
import { joinedUnitVectors } from './testing.ts';

const root = await mkdtemp(join(tmpdir(), 'snapshot-'));
after(() => rm(root, { recursive: true }));

const DIMENSION = 100;
const ITEMS = 7_000;
const CREATE_TIME = '2026-01-02T03:04:05.678Z';
const ids = BigInt64Array.from({ length: ITEMS }, (_, i) => BigInt(i) * 10n ** 12n);
const vectors = joinedUnitVectors(ITEMS, DIMENSION, 1);

/** What earlier versions wrote. */
function snapshotOf(items: number, fingerprint: string | null): Buffer {
  const bytes = (array: BigInt64Array | Float32Array) =>
    Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  const content = Buffer.concat([
    formatHeader({ dimension: DIMENSION, items, fingerprint, createTime: CREATE_TIME }),
    bytes(ids.slice(0, items)),
    bytes(vectors.slice(0, items * DIMENSION)),
  ]);
  return Buffer.concat([content, createHash('sha256').update(content).digest()]);
}

async function folderWith(name: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  for (const [file, content] of Object.entries(files)) await writeFile(join(folder, file), content);
  return folder;
}

test('snapshots of earlier versions are taken over when a folder is opened', async () => {
  const folder = await folderWith('old', {
    'shop.index': snapshotOf(ITEMS, 'abc'),
    'empty.index': snapshotOf(0, null),
  });
  for (let round = 0; round < 2; round++) {
    const engine = await ExactEngine.open({ folder, threads: 1 });
    const shop = await engine.open('shop');
    assert.deepEqual([shop.size, shop.fingerprint], [ITEMS, 'abc']);
    assert.equal(shop.createTime.toISOString(), CREATE_TIME);
    const at = 6_543 * DIMENSION;
    const [hits] = await shop.search(vectors.slice(at, at + DIMENSION), { topK: 1 });
    assert.deepEqual(hits?.ids, ids.slice(6_543, 6_544));
    assert.deepEqual((await shop.vectorsOf(ids)).vectors, vectors);
    const empty = await engine.open('empty');
    assert.deepEqual([empty.size, empty.fingerprint], [0, undefined]);
    await engine.close();
    assert.deepEqual((await readdir(folder)).sort(), ['empty.items', 'shop.items']);
  }
});

test('a snapshot that was taken over before the process was killed does not undo what came after', async () => {
  const folder = await folderWith('killed', { 'shop.index': snapshotOf(10, 'abc') });
  const engine = await ExactEngine.open({ folder, threads: 1 });
  await (await engine.open('shop')).delete(ids.slice(0, 1));
  await engine.close();
  await folderWith('killed', { 'shop.index': snapshotOf(10, 'abc'), '.shop.items.migrate': Buffer.of(1) });
  const again = await ExactEngine.open({ folder, threads: 1 });
  assert.equal((await again.open('shop')).size, 9);
  await again.close();
  assert.deepEqual(await readdir(folder), ['shop.items']);
});

test('a damaged snapshot is named, and stays', async () => {
  const good = snapshotOf(ITEMS, 'abc');
  const folder = await folderWith('damaged', {});
  const path = join(folder, 'shop.index');
  const damaged = async (change: (bytes: Buffer) => Buffer) => {
    await writeFile(path, change(Buffer.from(good)));
    await ExactEngine.open({ folder, threads: 1 });
  };
  const flip = (position: number) => (bytes: Buffer) => {
    bytes[position] = (bytes[position] as number) ^ 1;
    return bytes;
  };
  await assert.rejects(damaged(flip(0)), /shop.index: is not a snapshot/);
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
  assert.equal((await readFile(path)).length, good.length - 1);
  assert.deepEqual(await readdir(folder), ['shop.index']);
});
