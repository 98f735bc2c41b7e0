import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { NotFoundError, ResourceExhaustedError, UnavailableError } from '@online-cnclip/foundation';
import { DEFAULT_MILVUS_OPTIONS, MilvusEngine } from '@online-cnclip/milvus-index';
import { type MilvusServer, skipWithoutMilvus, startMilvus } from '@online-cnclip/milvus-index/testing';
import { type Attributes, compileFilter } from '@online-cnclip/retrieval';
import fc from 'fast-check';
import { unitVectors } from '../index-engines/vectors.ts';
import { untilAvailable } from './until-available.ts';

const DIMENSION = 8;

describe('what a Milvus server does beyond the contract of engines', { skip: skipWithoutMilvus() }, () => {
  let folder: string;
  let server: MilvusServer;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'milvus-server-'));
    server = await startMilvus(folder);
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const open = (collectionPrefix: string, maxItems = 10_000): MilvusEngine =>
    new MilvusEngine({
      ...DEFAULT_MILVUS_OPTIONS,
      address: server.address,
      collectionPrefix,
      maxItems,
      timeoutMs: 30_000,
    });

  const batch = (from: number, count: number, attributes?: readonly Attributes[]) => ({
    ids: BigInt64Array.from({ length: count }, (_, index) => BigInt(from + index)),
    vectors: unitVectors(count, DIMENSION, from + 1),
    attributes,
  });

  test('a filter passes what it passes here, whatever is in its texts and numbers', async () => {
    const engine = open('filters_');
    const index = await engine.create({ name: 'shop', dimension: DIMENSION });
    const value = fc.oneof(
      // What could end a text in an expression, and texts that are close to each other.
      fc.string({
        unit: fc.constantFrom('"', "'", '\\', '\n', '\r', '\t', '红', ' ', '{', '%', '1'),
        maxLength: 4,
      }),
      fc.constantFrom('"] == "" or id > 0 or attributes["s_a', '1', 'true', '1.0'),
      fc.bigInt({ min: -3n, max: 3n }),
      fc.constantFrom(2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 2 ** 53, 1, 1.5, -0, 1e300),
      fc.boolean(),
    );
    const bound = fc.record({
      value: fc.oneof(fc.bigInt({ min: -3n, max: 3n }), fc.constantFrom(1.5, 2 ** 53, 2n ** 53n + 1n, 1e300)),
      inclusive: fc.boolean(),
    });
    const attribute = fc.constantFrom('a', 'b');
    const condition = fc.oneof(
      fc.record({
        kind: fc.constant('one-of' as const),
        attribute,
        values: fc.array(value, { minLength: 1, maxLength: 3 }),
      }),
      fc.record({ kind: fc.constant('range' as const), attribute, lower: bound }),
      fc.record({ kind: fc.constant('range' as const), attribute, lower: bound, upper: bound }),
    );
    const items = fc.sample(fc.dictionary(attribute, value, { maxKeys: 2, noNullPrototype: true }), {
      numRuns: 200,
      seed: 1,
    });
    await index.upsert(batch(0, items.length, items));
    const query = unitVectors(1, DIMENSION, 1);
    const filters = fc.sample(fc.array(condition, { minLength: 1, maxLength: 2 }), { numRuns: 150, seed: 2 });
    let passed = 0;
    for (const conditions of filters) {
      const filter = compileFilter(conditions);
      const expected = items.flatMap((attributes, id) => (filter.matches(attributes) ? [BigInt(id)] : []));
      const [hits] = await index.search(query, { topK: items.length, filter });
      assert.deepEqual(
        [...(hits?.ids ?? [])].sort((a, b) => Number(a - b)),
        expected,
        describeConditions(conditions),
      );
      passed += expected.length;
    }
    assert.ok(passed > 0);
    await engine.close();
  });

  test('after a crash of the server what was acknowledged is there, by the same engine as before', async () => {
    const engine = open('crash_');
    const index = await engine.create({ name: 'shop', dimension: DIMENSION, fingerprint: 'model-a' });
    for (let from = 0; from < 100; from += 20) await index.upsert(batch(from, 20));
    await index.delete(BigInt64Array.of(3n, 4n));
    await engine.setAlias('live', 'shop');
    await server.kill();
    await assert.rejects(engine.open('live'), UnavailableError);
    await assert.rejects(index.count(), UnavailableError);
    server = await startMilvus(folder, Number(server.address.split(':')[1]));
    const again = await untilAvailable(() => engine.open('live'));
    assert.deepEqual([again.name, again.fingerprint], ['shop', 'model-a']);
    assert.equal(await again.count(), 98);
    const [hits] = await again.search(unitVectors(1, DIMENSION, 1), { topK: 200 });
    assert.equal(hits?.ids.length, 98);
    await again.upsert(batch(200, 2));
    assert.equal(await again.count(), 100);
    await engine.close();
  });

  test('two processes see what the other did', async () => {
    const [one, two] = [open('two_'), open('two_')];
    const first = await one.create({ name: 'a', dimension: DIMENSION });
    await first.upsert(batch(0, 5));
    assert.equal(await (await two.open('a')).count(), 5);
    await one.create({ name: 'b', dimension: DIMENSION });
    await one.setAlias('live', 'a');
    assert.equal((await two.open('live')).name, 'a');
    await two.setAlias('live', 'b');
    assert.equal((await one.open('live')).name, 'b');
    await two.drop('a');
    await assert.rejects(one.open('a'), NotFoundError);
    await two.create({ name: 'a', dimension: DIMENSION * 2 });
    assert.equal((await one.open('a')).dimension, DIMENSION * 2);
    await Promise.all([one.close(), two.close()]);
  });

  test('a full index refuses what would be more, and takes what replaces', async () => {
    const engine = open('full_', 10);
    const index = await engine.create({ name: 'shop', dimension: DIMENSION });
    await index.upsert(batch(0, 8));
    await assert.rejects(index.upsert(batch(6, 5)), ResourceExhaustedError);
    assert.equal(await index.count(), 8);
    await index.upsert(batch(4, 6));
    await index.upsert(batch(0, 10));
    assert.equal(await index.count(), 10);
    await index.delete(BigInt64Array.of(0n, 1n));
    await index.upsert(batch(20, 2));
    await assert.rejects(index.upsert(batch(30, 1)), /the index holds 10 of at most 10/);
    await engine.close();
  });
});

const describeConditions = (conditions: unknown): string =>
  JSON.stringify(conditions, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
