import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  CancelledError,
  DataLossError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  ResourceExhaustedError,
  UnavailableError,
} from '@online-cnclip/foundation';
import { joinedUnitVectors } from '../testing.ts';
import { ExactEngine, type ExactEngineOptions } from './exact-engine.ts';
import { rowsPerQuantizedBlock } from './quantized-block.ts';

const root = await mkdtemp(join(tmpdir(), 'exact-index-'));
after(() => rm(root, { recursive: true }));

let folders = 0;
async function open(options: Partial<ExactEngineOptions> = {}) {
  const folder = options.folder ?? join(root, `${folders++}`);
  return { folder, engine: await ExactEngine.open({ threads: 1, ...options, folder }) };
}
const idsFrom = (first: number, count: number) =>
  BigInt64Array.from({ length: count }, (_, i) => BigInt(first + i));

/** Scores in double precision, sorted as Python's stable sort does: what the index has to agree with. */
function bruteForce(query: Float32Array, vectors: Float32Array, topK: number) {
  const dimension = query.length;
  return Array.from({ length: vectors.length / dimension }, (_, row) => ({
    row,
    score: query.reduce((sum, value, i) => sum + value * (vectors[row * dimension + i] as number), 0),
  }))
    .sort((a, b) => b.score - a.score)
    .slice(0, topK);
}

// Wholly in memory; blocks and a tail; blocks alone; several passes of queries; numbers far larger in some places.
const wide = rowsPerQuantizedBlock(8_192);
const shapes = [
  { dimension: 3, items: 1_501, queries: 67, topK: 10, outliers: false },
  { dimension: 513, items: 700, queries: 3, topK: 1_000, outliers: false },
  { dimension: 64, items: rowsPerQuantizedBlock(64) * 2 + 77, queries: 70, topK: 10, outliers: false },
  { dimension: 64, items: rowsPerQuantizedBlock(64) + 5_000, queries: 5, topK: 500, outliers: true },
  { dimension: 8_192, items: wide * 2, queries: 3, topK: 5, outliers: true },
];
for (const { dimension, items, queries, topK, outliers } of shapes)
  test(`agrees with brute force: ${items} items of ${dimension}${outliers ? ', outliers' : ''}`, async () => {
    const vectors = joinedUnitVectors(items, dimension, 1);
    if (outliers)
      for (let row = 0; row < items; row++) {
        const vector = vectors.subarray(row * dimension, (row + 1) * dimension);
        vector[1] = 5 + (vector[1] as number);
        const length = Math.hypot(...vector);
        for (const [i, value] of vector.entries()) vector[i] = value / length;
      }
    const { engine } = await open();
    const index = await engine.create({ name: 'shop', dimension });
    for (let row = 0; row < items; row += 5_000) {
      const count = Math.min(5_000, items - row);
      await index.upsert({
        ids: idsFrom(row, count),
        vectors: vectors.subarray(row * dimension, (row + count) * dimension),
      });
    }
    const asked = joinedUnitVectors(queries, dimension, 2);
    const found = await index.search(asked, { topK });
    assert.equal(found.length, queries);
    for (const [q, { ids, scores }] of found.entries()) {
      const expected = bruteForce(asked.subarray(q * dimension, (q + 1) * dimension), vectors, topK);
      assert.deepEqual(
        [...ids],
        expected.map(({ row }) => BigInt(row)),
      );
      for (const [i, { score }] of expected.entries())
        assert.ok(Math.abs((scores[i] as number) - score) < 1e-6);
    }
    await engine.close();
  });

test('equal scores keep the order in which the items were written', async () => {
  const { engine } = await open();
  const index = await engine.create({ name: 'shop', dimension: 2 });
  await index.upsert({
    ids: BigInt64Array.of(9n, 2n, 7n, 1n, 5n, 3n),
    vectors: Float32Array.from(Array(6).fill([0.6, 0.8]).flat()),
  });
  const [hits] = await index.search(Float32Array.of(0.6, 0.8), { topK: 4 });
  assert.deepEqual(hits?.ids, BigInt64Array.of(9n, 2n, 7n, 1n));
  assert.ok(hits?.scores.every((score) => score === hits.scores[0]));
  await engine.close();
});

test('replacing and deleting much shrinks the file, and searches go on', async () => {
  const { engine, folder } = await open();
  const dimension = 64;
  const count = 10_000;
  const index = await engine.create({ name: 'shop', dimension });
  const vectors = joinedUnitVectors(count, dimension, 3);
  const attributes = Array.from({ length: count }, (_, i) => ({ number: BigInt(i) }));
  await index.upsert({ ids: idsFrom(0, count), vectors, attributes });
  const full = (await stat(join(folder, 'shop.items'))).size;
  const before = index.search(vectors.subarray(0, dimension * 200), { topK: 3 });
  const gone = idsFrom(0, count).filter((id) => id % 3n !== 0n);
  assert.deepEqual(new Set(await index.delete(gone)), new Set([true]));
  for (const [i, { ids }] of (await before).entries()) assert.equal(ids[0], BigInt(i));
  await index.upsert({ ids: BigInt64Array.of(0n), vectors: vectors.subarray(0, dimension) });
  assert.ok((await stat(join(folder, 'shop.items'))).size < full / 2);
  const check = async (current: typeof index): Promise<void> => {
    assert.equal(current.size, count - gone.length);
    const [hits] = await current.search(vectors.subarray(300 * dimension, 301 * dimension), { topK: 1 });
    assert.equal(hits?.ids[0], 300n);
    const kept = await current.attributesOf(BigInt64Array.of(0n, 1n, 300n));
    assert.deepEqual(kept, [{}, undefined, { number: 300n }]);
    assert.deepEqual(new Set(current.ids()), new Set(idsFrom(0, count).filter((id) => id % 3n === 0n)));
  };
  await check(index);
  await engine.close();
  const { engine: again } = await open({ folder });
  await check(await again.open('shop'));
  assert.deepEqual((await readdir(folder)).sort(), ['.lock', 'shop.items']);
  await again.close();
});

test('a search sees the items of its moment', async () => {
  const { engine } = await open();
  const dimension = 256;
  const index = await engine.create({ name: 'shop', dimension });
  const vectors = joinedUnitVectors(5_000, dimension, 5);
  await index.upsert({ ids: idsFrom(0, 5_000), vectors });
  const seventh = vectors.subarray(7 * dimension, 8 * dimension);
  const before = index.search(seventh, { topK: 1 });
  assert.deepEqual(await index.delete(BigInt64Array.of(7n)), [true]);
  assert.equal((await before)[0]?.ids[0], 7n);
  assert.notEqual((await index.search(seventh, { topK: 1 }))[0]?.ids[0], 7n);
  await engine.close();
});

test('a long search lets others run, and stops when it is told to', async () => {
  const { engine } = await open();
  const index = await engine.create({ name: 'shop', dimension: 512 });
  const vectors = joinedUnitVectors(4_000, 512, 4);
  await index.upsert({ ids: idsFrom(0, 4_000), vectors });
  const controller = new AbortController();
  const search = index.search(vectors, { topK: 10, signal: controller.signal });
  let ended = false;
  const end = () => {
    ended = true;
  };
  search.then(end, end);
  for (let turn = 0; turn < 5; turn++) await setImmediate();
  assert.equal(ended, false);
  controller.abort(new CancelledError('enough'));
  await assert.rejects(search, CancelledError);
  await engine.close();
});

test('ranks some items exactly, and gives their vectors', async () => {
  const { engine } = await open();
  const index = await engine.create({ name: 'shop', dimension: 4 });
  const vectors = joinedUnitVectors(20, 4, 6);
  const attributes = Array.from({ length: 20 }, (_, i) => ({ even: i % 2 === 0 }));
  await index.upsert({ ids: idsFrom(0, 20), vectors, attributes });
  const candidates = [BigInt64Array.of(3n, 99n, 4n, 8n, 8n)];
  const query = vectors.subarray(12, 16);
  const [hits] = await index.rank(query, candidates, { topK: 2 });
  assert.deepEqual([hits?.ids[0], hits?.ids.length], [3n, 2]);
  const filter = { matches: ({ even }: { readonly even?: unknown }) => even === true };
  const [even] = await index.rank(query, candidates, { topK: 5, filter });
  assert.deepEqual([...(even?.ids ?? [])].sort(), [4n, 8n]);
  const found = await index.vectorsOf(BigInt64Array.of(5n, 99n, 1n));
  assert.deepEqual(found.ids, BigInt64Array.of(5n, 1n));
  assert.deepEqual(found.vectors.subarray(4), vectors.subarray(4, 8));
  await engine.close();
});

test('a batch that does not fit changes nothing', async () => {
  const { engine } = await open({ maxItems: 2 });
  const index = await engine.create({ name: 'shop', dimension: 2 });
  const upsert = (...ids: bigint[]) =>
    index.upsert({ ids: BigInt64Array.from(ids), vectors: Float32Array.from(ids.flatMap(() => [1, 0])) });
  await upsert(1n);
  await assert.rejects(upsert(2n, 3n), ResourceExhaustedError);
  assert.equal(index.size, 1);
  const [second, third] = await Promise.allSettled([upsert(1n, 2n), upsert(3n)]);
  assert.deepEqual([second.status, third.status], ['fulfilled', 'rejected']);
  await assert.rejects(
    index.upsert({ ids: BigInt64Array.of(1n), vectors: Float32Array.of(1) }),
    InvalidInputError,
  );
  await engine.close();
  await assert.rejects(upsert(1n), UnavailableError);
});

test('a folder has one process, and one that was killed does not keep it', async () => {
  const { engine, folder } = await open();
  await assert.rejects(open({ folder }), FailedPreconditionError);
  await engine.close();
  await writeFile(join(folder, '.lock'), '999999999 nowhere\n');
  await (await open({ folder })).engine.close();
});

test('an unfinished write at the end is cut off, damage before it is named', async () => {
  const { engine, folder } = await open();
  const path = join(folder, 'shop.items');
  const index = await engine.create({ name: 'shop', dimension: 16 });
  const vectors = joinedUnitVectors(30, 16, 7);
  const sizes: number[] = [];
  for (let i = 0; i < 30; i++) {
    await index.upsert({ ids: idsFrom(i, 1), vectors: vectors.subarray(i * 16, (i + 1) * 16) });
    sizes.push((await stat(path)).size);
  }
  await engine.close();
  const good = await readFile(path);
  const itemsIn = async (content: Buffer): Promise<number> => {
    await writeFile(path, content);
    const { engine } = await open({ folder });
    const { size } = await engine.open('shop');
    await (await engine.open('shop')).upsert({ ids: idsFrom(100, 1), vectors: vectors.subarray(0, 16) });
    await engine.close();
    const again = await open({ folder });
    assert.equal((await again.engine.open('shop')).size, size + 1);
    await again.engine.close();
    return size;
  };
  const frame = (sizes[1] as number) - (sizes[0] as number);
  for (const missing of [1, 8, 16, frame - 17, frame - 16, frame - 15, frame - 1])
    assert.equal(await itemsIn(good.subarray(0, good.length - missing)), 29, `${missing} bytes missing`);
  assert.equal(await itemsIn(good.subarray(0, good.length - frame)), 29);
  const zeros = Buffer.alloc(frame);
  assert.equal(await itemsIn(Buffer.concat([good, zeros])), 30);
  assert.equal(await itemsIn(Buffer.concat([good.subarray(0, good.length - frame), zeros])), 29);
  const flipped = (position: number) => {
    const bytes = Buffer.from(good);
    bytes[position] = (bytes[position] as number) ^ 1;
    return bytes;
  };
  assert.equal(await itemsIn(flipped(good.length - 1)), 29, 'the last frame was not whole');
  for (const position of [0, 20, sizes[3] as number, (sizes[3] as number) + 5, (sizes[9] as number) + 40]) {
    await assert.rejects(itemsIn(flipped(position)), DataLossError, `byte ${position}`);
    assert.equal((await readFile(path)).length, good.length, 'nothing was cut off');
  }
  for (const length of [0, 10]) await assert.rejects(itemsIn(good.subarray(0, length)), DataLossError);
});

test('dropping waits for what was begun', async () => {
  const { engine, folder } = await open();
  const index = await engine.create({ name: 'shop', dimension: 4 });
  const vectors = joinedUnitVectors(2_000, 4, 8);
  const upsert = index.upsert({ ids: idsFrom(0, 2_000), vectors });
  const search = index.search(vectors, { topK: 1 });
  await engine.drop('shop');
  await Promise.all([upsert, search]);
  await assert.rejects(index.count(), NotFoundError);
  await engine.close();
  assert.deepEqual(await readdir(folder), []);
});
