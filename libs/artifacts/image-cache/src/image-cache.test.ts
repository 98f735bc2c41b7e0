import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  DataLossError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
} from '@online-cnclip/foundation';
import { open } from 'lmdb';
import { StorageFullError } from './environment.ts';
import { type ImageCache, openImageCache } from './image-cache.ts';
import type { QueryOutcome } from './outcome.ts';
import { cacheKey } from './query.ts';
import { drawPicture, makeImage } from './testing/pictures.ts';

const program = (name: string) => fileURLToPath(new URL(`testing/${name}`, import.meta.url));
const failed = (message: string, retryAt?: Date): QueryOutcome => ({
  state: 'FAILED',
  failure: { reason: 'navigation', message },
  retryAt,
});

/** Reads everything that a cache holds; what is damaged may be refused as such. */
async function readOrRefuse(folder: string): Promise<void> {
  try {
    const cache = openImageCache(folder, { readOnly: true });
    try {
      for (const { query } of cache.queries()) cache.images(query);
      cache.failures();
    } finally {
      await cache.close();
    }
  } catch (error) {
    assert.ok(error instanceof DataLossError, String((error as Error).stack));
  }
}

describe('image cache', () => {
  let folder: string;
  let cache: ImageCache;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'image-cache-'));
    let clock = 1_000;
    const now = (): Date => {
      clock += 1;
      return new Date(clock);
    };
    cache = openImageCache(folder, { now });
  });
  afterEach(async () => {
    await cache.close();
    rmSync(folder, { recursive: true });
  });

  it('keeps images in order, with where they came from', async () => {
    const images = [await makeImage(3), await makeImage(1)];
    cache.put('红色 连衣裙！', { state: 'OK', images, wanted: 5 });
    const stored = cache.images('红色连衣裙');
    assert.deepEqual(
      stored.map(({ imageId: _, ...image }) => image),
      images,
    );
    assert.deepEqual(
      stored.map((image) => image.imageId),
      [1n, 2n],
    );
    const { query, normalized, state, wanted, attempts } = cache.get('红色，连衣裙') ?? {};
    assert.deepEqual(
      { query, normalized, state, wanted, attempts },
      { query: '红色 连衣裙！', normalized: '红色连衣裙', state: 'OK', wanted: 5, attempts: 1 },
    );
    assert.equal(cache.images('红色连衣裙', 1).length, 1);
    assert.equal(cache.get('蓝色连衣裙'), undefined);
  });

  it('keeps the same picture of a query once, by its bytes and by its looks', async () => {
    const first = await makeImage(1);
    const recompressed = await makeImage(1, { jpeg: await drawPicture(1, 60), sourceUrl: 'http://other/' });
    cache.put('杯子', { state: 'OK', images: [first, first, recompressed, await makeImage(2)], wanted: 4 });
    assert.equal(cache.images('杯子').length, 2);
  });

  it('puts new images before those that are there, which keep their ids', async () => {
    cache.put('杯子', { state: 'OK', images: [await makeImage(1), await makeImage(2)], wanted: 2 });
    cache.put('杯子', { state: 'OK', images: [await makeImage(3), await makeImage(2)], wanted: 3 });
    assert.deepEqual(
      cache.get('杯子')?.images.map((image) => image.imageId),
      [3n, 2n, 1n],
    );
    assert.equal(cache.get('杯子')?.wanted, 3);
  });

  it('loses no image to an attempt that fails, and lists the failure', async () => {
    cache.put('杯子', { state: 'OK', images: [await makeImage(1)], wanted: 1 });
    const record = cache.put('杯子', failed('no page in 30 s', new Date(5_000)));
    assert.equal(record.state, 'OK');
    assert.equal(cache.images('杯子').length, 1);
    assert.deepEqual(
      cache.failures().failures.map(({ query, failure, retryAt }) => ({ query, failure, retryAt })),
      [
        {
          query: '杯子',
          failure: { reason: 'navigation', message: 'no page in 30 s' },
          retryAt: new Date(5_000),
        },
      ],
    );
  });

  it('lists failures, the latest first, each query once, until it succeeds', async () => {
    cache.put('一', failed('a'));
    cache.put('二', {
      state: 'DEFERRED',
      failure: { reason: 'rate-limited', message: 'b' },
      until: new Date(9),
    });
    cache.put('三', failed('c'));
    cache.put('一', failed('d'));
    cache.put('三', { state: 'NO_RESULTS' });
    const listed = cache.failures({}, 1);
    assert.equal(listed.total, 2);
    assert.deepEqual(
      listed.failures.map(({ query, attempts, failedAttempts }) => [query, attempts, failedAttempts]),
      [['一', 2, 2]],
    );
    assert.deepEqual(
      cache.failures({ reasons: ['rate-limited'] }).failures.map(({ query, state }) => [query, state]),
      [['二', 'DEFERRED']],
    );
    assert.equal(cache.get('三')?.state, 'NO_RESULTS');
  });

  it('survives being closed and opened', async () => {
    cache.put('杯子', { state: 'OK', images: [await makeImage(1)], wanted: 1 });
    await cache.close();
    cache = openImageCache(folder, { readOnly: true });
    assert.equal(cache.images('杯子').length, 1);
  });

  it('is shared within a process, by whom writes and whom only reads', async () => {
    const reader = openImageCache(folder, { readOnly: true });
    cache.put('杯子', { state: 'OK', images: [await makeImage(1)], wanted: 1 });
    assert.equal(reader.images('杯子').length, 1);
    assert.throws(() => reader.put('杯子', { state: 'NO_RESULTS' }), FailedPreconditionError);
    await cache.close();
    assert.equal(reader.images('杯子').length, 1);
    await reader.close();
    await reader.close();
    cache = openImageCache(folder);
    assert.equal(cache.images('杯子').length, 1);
  });

  for (const [name, query] of [
    ['an empty query', ' '],
    ['punctuation only', '！？'],
    ['10,000 characters', '长'.repeat(10_000)],
    ['a path', '../../etc/passwd'],
    ['NUL', '杯\u0000子'],
    ['half a surrogate pair', '杯\ud800'],
  ] as const)
    it(`refuses ${name} by name, and nothing is lost`, () => {
      cache.put('杯子', { state: 'NO_RESULTS' });
      assert.throws(
        () => cache.put(query, { state: 'NO_RESULTS' }),
        (error: Error) =>
          error instanceof InvalidInputError &&
          error.message.includes(JSON.stringify(query.slice(0, 40))) &&
          error.message.length < 200,
      );
      assert.throws(() => cache.get(query), InvalidInputError);
      assert.deepEqual([...cache.queries()].length, 1);
    });

  it('refuses an unknown state, and OK without an image', () => {
    const unknown = { state: 'MAYBE' } as unknown as QueryOutcome;
    assert.throws(() => cache.put('杯子', unknown), { name: 'InvalidInputError', message: /"MAYBE"/ });
    assert.throws(() => cache.put('杯子', { state: 'OK', images: [], wanted: 1 }), InvalidInputError);
    assert.equal(cache.get('杯子'), undefined);
  });

  it('names the unknown state of a record', async () => {
    cache.put('杯子', { state: 'NO_RESULTS' });
    await cache.close();
    const raw = open<Buffer, Buffer>({ path: folder, maxDbs: 4, keyEncoding: 'binary', encoding: 'binary' });
    const queries = raw.openDB<Buffer, Buffer>({
      name: 'queries',
      keyEncoding: 'binary',
      encoding: 'binary',
    });
    const damaged = ['{"state":"OK"}', '{"state":"OK","images":[{}]}', 'null', '[]', '{'];
    await queries.put(cacheKey('杯子'), Buffer.from('{"state":"MAYBE"}'));
    for (const [i, json] of damaged.entries()) await queries.put(cacheKey(`杯子${i}`), Buffer.from(json));
    await raw.close();
    cache = openImageCache(folder);
    assert.throws(() => cache.get('杯子'), { name: 'DataLossError', message: /"MAYBE"/ });
    for (const i of damaged.keys()) assert.throws(() => cache.get(`杯子${i}`), { name: 'DataLossError' });
  });

  it('refuses a file that is damaged or cut short, which would end the process otherwise', async () => {
    cache.put('杯子', { state: 'NO_RESULTS' });
    cache.put('红色连衣裙', { state: 'NO_RESULTS' });
    await cache.close();
    const whole = readFileSync(join(folder, 'data.mdb'));
    const pages = whole.length / 4_096;
    for (let page = 2; page < pages; page += 1) {
      writeFileSync(join(folder, 'data.mdb'), whole.subarray(0, page * 4_096 + 100));
      await readOrRefuse(folder);
      const damaged = Buffer.from(whole);
      damaged.fill(0xff, page * 4_096 + 8, page * 4_096 + 200);
      writeFileSync(join(folder, 'data.mdb'), damaged);
      await readOrRefuse(folder);
    }
    writeFileSync(join(folder, 'data.mdb'), whole.subarray(0, 3 * 4_096));
    assert.throws(() => openImageCache(folder), DataLossError);
    writeFileSync(join(folder, 'data.mdb'), whole);
    cache = openImageCache(folder);
    assert.equal(cache.get('杯子')?.state, 'NO_RESULTS');
  });

  it('refuses what is no cache', async () => {
    const other = mkdtempSync(join(tmpdir(), 'no-cache-'));
    assert.throws(() => openImageCache(other, { readOnly: true }), NotFoundError);
    writeFileSync(join(other, 'data.mdb'), 'x'.repeat(8192));
    assert.throws(() => openImageCache(other), DataLossError);
    rmSync(other, { recursive: true });
  });
});

describe('image cache that is full', () => {
  it('keeps what it has when the map takes no more', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'image-cache-'));
    const cache = openImageCache(folder, { maxBytes: 1_000_000 });
    const images = [await makeImage(1)];
    let stored = 0;
    assert.throws(() => {
      for (; ; stored += 1) cache.put(`商品${stored}`, { state: 'OK', images, wanted: 1 });
    }, StorageFullError);
    assert.ok(stored > 10);
    assert.equal([...cache.queries()].length, stored);
    assert.equal(cache.get(`商品${stored}`), undefined);
    assert.equal(cache.images(`商品${stored - 1}`).length, 1);
    await cache.close();
    rmSync(folder, { recursive: true });
  });

  it('keeps what it has when the disk takes no more', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'image-cache-'));
    // In KiB: a file that may not grow further fails as a full disk does.
    const { stdout } = await promisify(execFile)('bash', [
      '-c',
      `ulimit -f 1000; exec "${process.execPath}" "${program('put-until-full.ts')}" "${folder}"`,
    ]);
    const { stored, error } = JSON.parse(stdout) as { stored: number; error: string };
    assert.equal(error, 'StorageFullError');
    assert.ok(stored > 10);
    const cache = openImageCache(folder);
    assert.equal([...cache.queries()].length, stored);
    for (const { query } of cache.queries()) assert.equal(cache.images(query).length, 2);
    await cache.close();
    rmSync(folder, { recursive: true });
  });
});

describe('image cache of several processes', () => {
  it('is read while another process writes, and holds all that was said when that one is killed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'image-cache-'));
    let next = 0;
    let reader: ImageCache | undefined;
    for (const lifeLines of [3, 7, 20]) {
      const child = spawn(process.execPath, [program('put-for-ever.ts'), folder, String(next)]);
      for await (const line of createInterface({ input: child.stdout })) {
        next = Number(line) + 1;
        reader ??= openImageCache(folder, { readOnly: true });
        assert.equal(reader.images(`商品${line}`).length, 2);
        if (next % lifeLines === 0) child.kill('SIGKILL');
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      for (let i = 0; i < next; i += 1) assert.equal(reader?.images(`商品${i}`).length, 2);
    }
    await reader?.close();
    assert.ok(readdirSync(folder).includes('data.mdb'));
    rmSync(folder, { recursive: true });
  });
});
