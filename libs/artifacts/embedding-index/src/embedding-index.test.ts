import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  CancelledError,
  FailedPreconditionError,
  InvalidInputError,
  ResourceExhaustedError,
} from '@online-cnclip/foundation';
import { createIndex, MAX_QUERIES_PER_PASS, MAX_TOP_K } from './index.ts';
import { randomVectors } from './testing.ts';

const ids = (count: number, from = 0n): bigint[] => Array.from({ length: count }, (_, i) => from + BigInt(i));

/** Cosines in double precision, sorted as Python's stable sort does: what the index has to agree with. */
function bruteForce(query: Float32Array, vectors: readonly Float32Array[], topK: number) {
  const cosine = (a: Float32Array, b: Float32Array) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  return vectors
    .map((vector, row) => ({ row, score: cosine(query, vector) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, topK);
}
const dot = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);

// Several passes of queries; broken blocks of rows; more than one chunk of rows (the last).
const shapes = [
  { dimension: 1, items: 900, queryCount: 3 },
  { dimension: 3, items: 1501, queryCount: MAX_QUERIES_PER_PASS + 3 },
  { dimension: 30, items: 900, queryCount: MAX_QUERIES_PER_PASS },
  { dimension: 513, items: 902, queryCount: 5 },
  { dimension: 4096, items: 1100, queryCount: 2 },
];
for (const { dimension, items, queryCount } of shapes)
  test(`agrees with brute force: ${items} items, dimension ${dimension}`, async () => {
    const vectors = randomVectors(items, dimension, 1);
    const queries = randomVectors(queryCount, dimension, 2);
    const index = createIndex({ dimension });
    await index.upsert(ids(800), vectors.slice(0, 800));
    await index.upsert(ids(items - 800, 800n), vectors.slice(800));
    const results = await index.search(queries, 10);
    assert.equal(results.length, queries.length);
    for (const [i, { ids: found, scores }] of results.entries()) {
      const expected = bruteForce(queries[i] as Float32Array, vectors, 10);
      for (const [rank, { row, score }] of expected.entries()) {
        assert.ok(Math.abs((scores[rank] as number) - score) < 1e-6, `${scores[rank]} is not ${score}`);
        // In one dimension every cosine is 1 or -1.
        if (dimension > 1) assert.equal(found[rank], BigInt(row));
      }
    }
  });

test('equal scores keep the order in which the items were added', async () => {
  const index = createIndex({ dimension: 2 });
  const same = new Float32Array([3, 4]);
  await index.upsert([9n, 2n, 7n, 1n, 5n, 3n], Array(6).fill(same));
  const [hits] = await index.search([same], 4);
  assert.deepEqual(hits?.ids, BigInt64Array.of(9n, 2n, 7n, 1n));
  assert.deepEqual([...(hits?.scores ?? [])], [1, 1, 1, 1]);
});

test('ids of 64 bits, replaced and deleted', async () => {
  const index = createIndex({ dimension: 3 });
  const [a, b, c] = [Float32Array.of(1, 0, 0), Float32Array.of(0, 1, 0), Float32Array.of(0, 0, 1)];
  const large = 2n ** 63n - 1n;
  await index.upsert([large, -(2n ** 63n), 5n], [a, b, c]);
  await index.upsert([5n, 5n], [a, b]);
  assert.equal(index.size, 3);
  assert.deepEqual((await index.search([b], 2))[0]?.ids, BigInt64Array.of(-(2n ** 63n), 5n));
  assert.deepEqual(await index.delete([5n, 6n, 5n]), [true, false, false]);
  assert.deepEqual((await index.search([b], 5))[0]?.ids, BigInt64Array.of(-(2n ** 63n), large));
  await assert.rejects(index.upsert([2n ** 63n], [a]), /ids\[0\]: 9223372036854775808 does not fit/);
});

test('many deletions leave the rest, in order', async () => {
  const dimension = 8;
  const count = 12_000;
  const index = createIndex({ dimension });
  const vectors = randomVectors(count, dimension, 3);
  await index.upsert(ids(count), vectors);
  const kept = ids(count).filter((id) => id % 3n === 0n);
  await index.delete(ids(count).filter((id) => id % 3n !== 0n));
  assert.equal(index.size, kept.length);
  const query = vectors[300] as Float32Array;
  const keptVectors = kept.map((id) => vectors[Number(id)] as Float32Array);
  const expected = bruteForce(query, keptVectors, 10).map(({ row }) => kept[row] as bigint);
  assert.deepEqual([...((await index.search([query], 10))[0]?.ids ?? [])], expected);
  const order: bigint[] = [];
  await index.freeze(async ({ entries }) => {
    for (const { id } of entries()) order.push(id);
  });
  assert.deepEqual(order, kept);
  await index.delete(kept);
  assert.deepEqual((await index.search([query], 10))[0]?.ids.length, 0);
});

test('a refused batch changes nothing', async () => {
  const index = createIndex({ dimension: 2, maxItems: 2 });
  const good = Float32Array.of(1, 2);
  await index.upsert([1n], [good]);
  const { revision } = index;
  const refused: [Float32Array, RegExp][] = [
    [Float32Array.of(0, 0), /item 3: the vector is zero/],
    [Float32Array.of(1, Number.NaN), /item 3: number 1 of the vector is NaN/],
    [Float32Array.of(Number.POSITIVE_INFINITY, 1), /item 3: number 0 of the vector is Infinity/],
    [Float32Array.of(1, 2, 3), /item 3: 3 numbers where 2 are needed/],
  ];
  for (const [vector, message] of refused)
    await assert.rejects(index.upsert([2n, 3n], [good, vector]), (error) => {
      assert.ok(error instanceof InvalidInputError);
      assert.match(error.message, message);
      return true;
    });
  await assert.rejects(index.upsert([2n, 3n], [good, good]), ResourceExhaustedError);
  assert.deepEqual([index.size, index.revision], [1, revision]);
  await index.upsert([1n, 2n], [good, good]);
  assert.equal(index.size, 2);
});

test('embedding spaces never mix', async () => {
  const index = createIndex({ dimension: 2 });
  const vector = Float32Array.of(1, 2);
  await index.upsert([1n], [vector]);
  assert.equal(index.fingerprint, undefined);
  await index.search([vector], 1, { fingerprint: 'aaa' });
  await index.upsert([2n], [vector], { fingerprint: 'aaa' });
  assert.equal(index.fingerprint, 'aaa');
  const names = (error: unknown) =>
    error instanceof FailedPreconditionError && /bbb/.test(error.message) && /aaa/.test(error.message);
  await assert.rejects(index.upsert([3n], [vector], { fingerprint: 'bbb' }), names);
  await assert.rejects(index.search([vector], 1, { fingerprint: 'bbb' }), names);
  assert.equal(index.size, 2);
});

test('queries and topK are checked', async () => {
  const index = createIndex({ dimension: 2 });
  const good = Float32Array.of(1, 2);
  const queries = [...Array(MAX_QUERIES_PER_PASS).fill(good), Float32Array.of(0, 0)];
  await assert.rejects(index.search(queries, 1), /queries\[64\]: the vector is zero/);
  for (const topK of [0, -1, 1.5, MAX_TOP_K + 1])
    await assert.rejects(index.search([good], topK), InvalidInputError);
  assert.deepEqual((await index.search([good], MAX_TOP_K))[0]?.ids.length, 0);
  for (const dimension of [0, 1.5, -1, 1e9])
    assert.throws(() => createIndex({ dimension }), InvalidInputError);
});

test('a long search lets others run, and stops when it is told to', async () => {
  const index = createIndex({ dimension: 512 });
  const vectors = randomVectors(4_000, 512, 4);
  await index.upsert(ids(4_000), vectors);
  const controller = new AbortController();
  const search = index.search(vectors.slice(0, 1024), 10, { signal: controller.signal });
  let ended = false;
  search.then(
    () => (ended = true),
    () => (ended = true),
  );
  // 2 G multiplications are some twenty slices.
  for (let turn = 0; turn < 5; turn++) await setImmediate();
  assert.equal(ended, false);
  controller.abort();
  await assert.rejects(search, CancelledError);
});

test('changes wait for the searches before them', async () => {
  const index = createIndex({ dimension: 256 });
  const vectors = randomVectors(5_000, 256, 5);
  await index.upsert(ids(5_000), vectors);
  const before = index.search([vectors[7] as Float32Array], 1);
  const removal = index.delete([7n]);
  const after = index.search([vectors[7] as Float32Array], 1);
  assert.equal((await before)[0]?.ids[0], 7n);
  assert.deepEqual(await removal, [true]);
  assert.notEqual((await after)[0]?.ids[0], 7n);
});
