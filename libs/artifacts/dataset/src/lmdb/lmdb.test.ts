import assert from 'node:assert/strict';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApplicationError, DataLossError, NotFoundError, UnsupportedError } from '@online-cnclip/foundation';
import { GOLDEN_LMDB, goldenImages, randomBelow, temporaryFolder } from '../testing/goldens.ts';
import { DATA_FILE, LmdbReader } from './lmdb-reader.ts';
import { type LmdbPut, LmdbWriter } from './lmdb-writer.ts';

async function write(folder: string, puts: readonly LmdbPut[], mapBytes = 2 ** 26): Promise<void> {
  const writer = new LmdbWriter(folder, mapBytes);
  assert.equal(await writer.insert(puts), -1);
  await writer.close();
  await writer.sync();
}

/** Values around what a page holds in itself (2 KiB), empty, and of many pages; keys in no order. */
function variedPuts(count: number): LmdbPut[] {
  const below = randomBelow(7);
  const lengths = [0, 1, 30, 2010, 2020, 2022, 2024, 2026, 2028, 2030, 2032, 2040, 4079, 4080, 4081, 30_000];
  return Array.from({ length: count }, (_, i) => {
    const value = Buffer.alloc(lengths[i % lengths.length] as number, String(i));
    return [Buffer.from(String((i * 7919) % 1_000_003).repeat(1 + below(3))), value] as const;
  });
}

test('reads what liblmdb writes, in order and at random', async (t) => {
  const folder = await temporaryFolder(t);
  const puts = variedPuts(3000);
  await write(folder, puts);
  const lmdb = new LmdbReader(folder);
  t.after(() => lmdb.close());
  assert.equal(lmdb.entries, puts.length);
  for (const [key, value] of puts) assert.ok(lmdb.get(key)?.equals(value), String(key));
  const sorted = puts.toSorted(([a], [b]) => Buffer.compare(a, b));
  assert.deepEqual(
    [...lmdb].map(({ key, value }) => [String(key), value().length]),
    sorted.map(([key, value]) => [String(key), value.length]),
  );
  for (const absent of ['', '-1', ' ', 'zzz', `${sorted[5]?.[0]}0`])
    assert.equal(lmdb.get(Buffer.from(absent)), undefined);
});

test("reads Python's golden LMDB", async () => {
  for (const split of ['valid', 'test']) {
    const lmdb = new LmdbReader(join(GOLDEN_LMDB, split, 'imgs'));
    const images = await goldenImages(split);
    for (const [id, base64] of images) assert.equal(String(lmdb.get(Buffer.from(id))), base64);
    assert.equal(String(lmdb.get(Buffer.from('num_images'))), String(images.size));
    assert.equal(lmdb.entries, images.size + 1);
    lmdb.close();
    lmdb.close();
    assert.throws(() => lmdb.get(Buffer.from('1')), ApplicationError);
  }
});

test('reads an empty environment', async (t) => {
  const folder = await temporaryFolder(t);
  await write(folder, []);
  const lmdb = new LmdbReader(folder);
  assert.deepEqual([...lmdb], []);
  assert.equal(lmdb.get(Buffer.from('1')), undefined);
  lmdb.close();
});

test('grows its map as often as it takes', async (t) => {
  const folder = await temporaryFolder(t);
  const writer = new LmdbWriter(folder, 2 ** 16);
  const puts = variedPuts(400);
  for (let i = 0; i < puts.length; i += 50) assert.equal(await writer.insert(puts.slice(i, i + 50)), -1);
  await writer.close();
  const lmdb = new LmdbReader(folder);
  for (const [key, value] of puts) assert.ok(lmdb.get(key)?.equals(value));
  assert.equal(lmdb.entries, puts.length);
  lmdb.close();
});

test('tells which key was there already', async (t) => {
  const writer = new LmdbWriter(await temporaryFolder(t), 2 ** 20);
  const puts = ['a', 'b', 'c', 'b'].map((key): LmdbPut => [Buffer.from(key), Buffer.from('1')]);
  assert.equal(await writer.insert(puts), 3);
  assert.equal(await writer.insert([[Buffer.from('c'), Buffer.from('2')]]), 0);
  await writer.abandon();
});

test('writes data format 1', async (t) => {
  const folder = await temporaryFolder(t);
  await write(folder, [[Buffer.from('a'), Buffer.from('b')]]);
  const head = await readFile(join(folder, DATA_FILE));
  assert.equal(head.readUInt32LE(16), 0xbeefc0de);
  assert.equal(head.readUInt32LE(20), 1);
});

test('refuses other files and data formats', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, DATA_FILE);
  assert.throws(() => new LmdbReader(folder), NotFoundError);
  await writeFile(path, 'not an LMDB');
  assert.throws(() => new LmdbReader(folder), DataLossError);
  await writeFile(path, Buffer.alloc(10_000, 'x'));
  assert.throws(() => new LmdbReader(folder), DataLossError);
  const golden = await readFile(join(GOLDEN_LMDB, 'valid/pairs', DATA_FILE));
  golden.writeUInt32LE(999, 20);
  await writeFile(path, golden);
  assert.throws(() => new LmdbReader(folder), { name: UnsupportedError.name, message: /data format 999/ });
  const next = Buffer.alloc(8192);
  next.writeUInt32LE(0xbeefc0de, 24);
  next.writeUInt32LE(2, 28);
  await writeFile(path, next);
  assert.throws(() => new LmdbReader(folder), { name: UnsupportedError.name, message: /data format 2/ });
});

test('answers a truncated or damaged file with its entries or an ApplicationError', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, DATA_FILE);
  await write(folder, variedPuts(80));
  const whole = await readFile(path);
  const below = randomBelow(3);
  let refused = 0;
  for (let round = 0; round < 200; round += 1) {
    const bytes = Buffer.from(whole);
    // Headers of pages and nodes are where a change matters.
    for (let i = 0; i < 6; i += 1) bytes[below(bytes.length >> 12) * 4096 + below(64)] = below(256);
    await writeFile(path, bytes);
    if (round % 5 === 0) await truncate(path, below(bytes.length));
    refused += readAll(folder) ? 0 : 1;
  }
  assert.ok(refused > 40, `${refused} refused`);
});

function readAll(folder: string): boolean {
  let lmdb: LmdbReader | undefined;
  try {
    lmdb = new LmdbReader(folder);
    for (const { value } of lmdb) value();
    for (const key of ['0', '500', '9']) lmdb.get(Buffer.from(key));
    return true;
  } catch (error) {
    assert.ok(error instanceof ApplicationError, (error as Error).stack);
    return false;
  } finally {
    lmdb?.close();
  }
}

test('refuses pages that refer to each other in a circle', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(folder, { recursive: true });
  await write(
    folder,
    Array.from({ length: 2000 }, (_, i): LmdbPut => [Buffer.from(String(i)), Buffer.from('value')]),
  );
  const path = join(folder, DATA_FILE);
  const bytes = await readFile(path);
  const meta = bytes.readBigUInt64LE(144) > bytes.readBigUInt64LE(4096 + 144) ? 0 : 4096;
  const root = Number(bytes.readBigUInt64LE(meta + 128)) * 4096;
  const first = bytes.readUInt16LE(root + 16);
  // Every branch node now points to the first leaf.
  for (let at = 18; at < bytes.readUInt16LE(root + 12); at += 2)
    bytes.copy(bytes, root + bytes.readUInt16LE(root + at), root + first, root + first + 6);
  await writeFile(path, bytes);
  const lmdb = new LmdbReader(folder);
  assert.throws(() => [...lmdb], { name: DataLossError.name, message: /out of order/ });
  lmdb.close();
});
