import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  AlreadyExistsError,
  CancelledError,
  FailedPreconditionError,
  NotFoundError,
} from '@online-cnclip/foundation';
import {
  type Attributes,
  type Condition,
  compileFilter,
  type SearchHits,
  type VectorEngine,
  type VectorIndex,
} from '@online-cnclip/retrieval';
import { unitVectors } from './vectors.ts';

export interface EngineUnderTest {
  /** In the tests' names. */
  readonly name: string;
  /** Opens a store for a test of its own; opening it again after `close` gives what was in it. */
  readonly openStore: (store: string) => Promise<VectorEngine>;
  /** Share of the true neighbours that a search must find at least: 1 for an exact engine. */
  readonly minRecall: number;
}

const DIMENSION = 32;
const ITEMS = 600;
const TOP_K = 10;

/** Rounding of a sum of products of float32, in whatever order an engine adds. */
const SCORE_TOLERANCE = 1e-4;

type EngineTest = (engine: VectorEngine, reopen: () => Promise<VectorEngine>) => Promise<void>;

/** Registers the tests that every index engine has to pass. */
export function testEngineContract(subject: EngineUnderTest): void {
  let stores = 0;
  const check = (what: string, body: EngineTest): void => {
    test(`${subject.name}: ${what}`, async () => {
      const store = `contract-${process.pid}-${stores++}`;
      let engine = await subject.openStore(store);
      try {
        await body(engine, async () => {
          await engine.close();
          engine = await subject.openStore(store);
          return engine;
        });
      } finally {
        for (const alias of (await engine.aliases()).keys()) await engine.removeAlias(alias);
        for (const { name } of await engine.list()) await engine.drop(name);
        await engine.close();
      }
    });
  };
  checkNames(check);
  checkItems(check);
  checkSearch(check, subject.minRecall);
  checkAliases(check);
}

type Check = (what: string, body: EngineTest) => void;

const spec = (name: string, fingerprint?: string) => ({ name, dimension: DIMENSION, fingerprint });

/** Items 1 to `count`, whose vectors come from the seed. */
function batchOf(count: number, seed = 1, attributes?: (id: number) => Attributes) {
  const ids = BigInt64Array.from({ length: count }, (_, i) => BigInt(i + 1));
  return {
    ids,
    vectors: unitVectors(count, DIMENSION, seed),
    attributes: attributes && Array.from(ids, (id) => attributes(Number(id))),
  };
}

const idsOf = (hits: SearchHits | undefined): bigint[] => [...(hits?.ids ?? [])];

function checkNames(check: Check): void {
  check('an index is what it was made with, also after a restart', async (first, reopen) => {
    const before = Date.now();
    const made = await first.create(spec('b.shop-1', 'model-a'));
    await first.create(spec('a_2'));
    assert.deepEqual([made.name, made.dimension, made.fingerprint], ['b.shop-1', DIMENSION, 'model-a']);
    assert.ok(Math.abs(made.createTime.getTime() - before) < 600_000);
    await assert.rejects(first.create(spec('a_2')), AlreadyExistsError);
    const engine = await reopen();
    const list = await engine.list();
    assert.deepEqual(
      list.map(({ name, dimension, fingerprint }) => [name, dimension, fingerprint]),
      [
        ['a_2', DIMENSION, undefined],
        ['b.shop-1', DIMENSION, 'model-a'],
      ],
    );
    assert.equal(list[1]?.createTime.getTime(), made.createTime.getTime());
  });

  check('a dropped index is gone, and its name free', async (first, reopen) => {
    const index = await first.create(spec('shop'));
    await index.upsert(batchOf(3));
    await first.drop('shop');
    await assert.rejects(first.open('shop'), NotFoundError);
    await assert.rejects(first.drop('shop'), NotFoundError);
    await assert.rejects(index.search(unitVectors(1, DIMENSION, 9), { topK: 1 }), NotFoundError);
    await assert.rejects(index.upsert(batchOf(1)), NotFoundError);
    assert.equal(await (await first.create(spec('shop'))).count(), 0);
    await first.drop('shop');
    assert.deepEqual(await (await reopen()).list(), []);
  });
}

function checkItems(check: Check): void {
  check('what was upserted is there, also after a restart', async (first, reopen) => {
    const attributes = (id: number): Attributes => ({
      parity: id % 2 === 0 ? 'even' : 'odd',
      id_2: BigInt(id),
    });
    await (await first.create(spec('shop'))).upsert(batchOf(50, 1, attributes));
    const index = await (await reopen()).open('shop');
    assert.equal(await index.count(), 50);
    await assertFinds(index, batchOf(50), [1, 25, 50]);
    assert.deepEqual(await index.attributesOf(BigInt64Array.of(7n, 51n, 8n)), [
      { parity: 'odd', id_2: 7n },
      undefined,
      { parity: 'even', id_2: 8n },
    ]);
  });

  check('upserting an id again replaces its vector and attributes', async (first, reopen) => {
    const index = await first.create(spec('shop'));
    await index.upsert(batchOf(20, 1, () => ({ colour: '红', sold: true })));
    const again = batchOf(20, 2);
    await index.upsert({ ids: again.ids.slice(0, 1), vectors: again.vectors.slice(0, DIMENSION) });
    for (const restarted of [false, true]) {
      const current = restarted ? await (await reopen()).open('shop') : index;
      assert.equal(await current.count(), 20);
      await assertFinds(current, again, [1]);
      await assertFinds(current, batchOf(20), [2, 20]);
      assert.deepEqual(await current.attributesOf(BigInt64Array.of(1n, 2n)), [
        {},
        { colour: '红', sold: true },
      ]);
    }
  });

  check('a deleted item is not found again', async (first, reopen) => {
    const index = await first.create(spec('shop'));
    await index.upsert(batchOf(20));
    assert.deepEqual(await index.delete(BigInt64Array.of(3n, 99n, 4n)), [true, false, true]);
    assert.deepEqual(await index.delete(BigInt64Array.of(3n)), [false]);
    for (const restarted of [false, true]) {
      const current = restarted ? await (await reopen()).open('shop') : index;
      assert.equal(await current.count(), 18);
      const [hits] = await current.search(batchOf(20).vectors.slice(2 * DIMENSION, 3 * DIMENSION), {
        topK: 20,
      });
      assert.equal(hits?.ids.length, 18);
      assert.ok(!idsOf(hits).includes(3n) && !idsOf(hits).includes(4n));
    }
  });

  check('every id of 64 bits and every kind of attribute comes back as it was', async (first, reopen) => {
    const ids = BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 0n, -1n);
    const attributes: Attributes[] = [
      { text: '“引号”\n\\ "', empty: '' },
      { whole: 2n ** 63n - 1n, negative: -(2n ** 63n), zero: 0n },
      { float: 1.5, one: 1, tiny: 5e-324, yes: true, no: false },
      {},
    ];
    await (await first.create(spec('shop'))).upsert({
      ids,
      vectors: unitVectors(4, DIMENSION, 3),
      attributes,
    });
    const index = await (await reopen()).open('shop');
    assert.deepEqual(await index.attributesOf(ids), attributes);
    const [hits] = await index.search(unitVectors(1, DIMENSION, 4), { topK: 10 });
    assert.deepEqual(idsOf(hits).sort(ascending), [...ids].sort(ascending));
  });

  check('calls may overlap', async (engine) => {
    const index = await engine.create(spec('shop'));
    const { ids, vectors } = batchOf(100);
    const parts = Array.from({ length: 20 }, (_, part) =>
      index.upsert({
        ids: ids.slice(part * 5, part * 5 + 5),
        vectors: vectors.slice(part * 5 * DIMENSION, (part + 1) * 5 * DIMENSION),
      }),
    );
    const searches = Array.from({ length: 10 }, () => index.search(vectors.slice(0, DIMENSION), { topK: 5 }));
    await Promise.all([...parts, ...searches]);
    assert.equal(await index.count(), 100);
    await assertFinds(index, { ids, vectors }, [1, 50, 100]);
  });
}

function checkSearch(check: Check, minRecall: number): void {
  check('the nearest items of each query, best first', async (engine) => {
    const index = await engine.create(spec('shop'));
    const items = batchOf(ITEMS);
    await index.upsert(items);
    const queries = unitVectors(40, DIMENSION, 5);
    const found = await index.search(queries, { topK: TOP_K });
    assert.equal(found.length, 40);
    assertNeighbours(found, items, queries, () => true, minRecall);
    assert.deepEqual(await index.search(new Float32Array(0), { topK: 1 }), []);
  });

  check('fewer items than asked for, and none', async (engine) => {
    const index = await engine.create(spec('shop'));
    const query = unitVectors(1, DIMENSION, 5);
    assert.deepEqual(idsOf((await index.search(query, { topK: 5 }))[0]), []);
    await index.upsert(batchOf(3));
    assert.equal((await index.search(query, { topK: 5 }))[0]?.ids.length, 3);
  });

  const attributes = (id: number): Attributes => ({
    category: id % 3 === 0 ? '裙子' : '衬衫',
    price: BigInt(id),
    ...(id % 2 === 0 && { rating: id / 100 }),
    rare: id % 100 === 0,
  });
  const cases: readonly (readonly [string, Condition[], (id: number) => boolean])[] = [
    ['a text', [{ kind: 'one-of', attribute: 'category', values: ['裙子'] }], (id) => id % 3 === 0],
    [
      'one of several',
      [{ kind: 'one-of', attribute: 'price', values: [7n, 8n, 9] }],
      (id) => id > 6 && id < 10,
    ],
    ['a rare truth value', [{ kind: 'one-of', attribute: 'rare', values: [true] }], (id) => id % 100 === 0],
    [
      'a range of integers',
      [
        {
          kind: 'range',
          attribute: 'price',
          lower: { value: 100n, inclusive: true },
          upper: { value: 200n, inclusive: false },
        },
      ],
      (id) => id >= 100 && id < 200,
    ],
    [
      'a range of floats that some have not',
      [{ kind: 'range', attribute: 'rating', lower: { value: 2.5, inclusive: false } }],
      (id) => id % 2 === 0 && id / 100 > 2.5,
    ],
    [
      'two conditions',
      [
        { kind: 'one-of', attribute: 'category', values: ['衬衫'] },
        { kind: 'range', attribute: 'price', upper: { value: 50.5, inclusive: true } },
      ],
      (id) => id % 3 !== 0 && id <= 50,
    ],
    ['what nothing has', [{ kind: 'one-of', attribute: 'category', values: ['"; drop'] }], () => false],
    ['an attribute that nothing has', [{ kind: 'one-of', attribute: 'brand', values: ['x'] }], () => false],
  ];
  check('filters', async (engine) => {
    const index = await engine.create(spec('shop'));
    const items = batchOf(ITEMS, 1, attributes);
    await index.upsert(items);
    const queries = unitVectors(8, DIMENSION, 6);
    for (const [what, conditions, passes] of cases) {
      const found = await index.search(queries, { topK: TOP_K, filter: compileFilter(conditions) });
      assertNeighbours(found, items, queries, passes, minRecall, what);
    }
  });

  check('an aborted search throws the reason', async (engine) => {
    const index = await engine.create(spec('shop'));
    await index.upsert(batchOf(10));
    const reason = new CancelledError('enough');
    const search = index.search(unitVectors(1, DIMENSION, 5), { topK: 1, signal: AbortSignal.abort(reason) });
    await assert.rejects(search, (error) => error === reason);
  });
}

function checkAliases(check: Check): void {
  check('an alias leads to an index until it is set anew', async (first, reopen) => {
    await first.create(spec('one'));
    await first.create(spec('two'));
    assert.equal(await first.setAlias('live', 'one'), undefined);
    assert.equal((await first.open('live')).name, 'one');
    assert.equal(await first.setAlias('live', 'two'), 'one');
    assert.equal(await first.setAlias('next', 'one'), undefined);
    const engine = await reopen();
    assert.deepEqual([...(await engine.aliases())].sort(), [
      ['live', 'two'],
      ['next', 'one'],
    ]);
    assert.equal((await engine.open('live')).name, 'two');
    await assert.rejects(engine.drop('two'), FailedPreconditionError);
    await assert.rejects(engine.drop('live'), NotFoundError);
    await engine.removeAlias('live');
    await assert.rejects(engine.removeAlias('live'), NotFoundError);
    await assert.rejects(engine.open('live'), NotFoundError);
    await engine.drop('two');
  });

  check('names and aliases are one space', async (engine) => {
    await engine.create(spec('one'));
    await engine.create(spec('two'));
    await assert.rejects(engine.setAlias('live', 'three'), NotFoundError);
    await assert.rejects(engine.setAlias('two', 'one'), AlreadyExistsError);
    await engine.setAlias('live', 'one');
    await assert.rejects(engine.create(spec('live')), AlreadyExistsError);
    await assert.rejects(engine.setAlias('next', 'live'), NotFoundError);
  });

  check('searches go on while an alias is set', async (engine) => {
    const ids: Record<string, bigint> = { one: 1n, two: 2n };
    for (const [name, id] of Object.entries(ids)) {
      const index = await engine.create(spec(name));
      await index.upsert({ ids: BigInt64Array.of(id), vectors: unitVectors(1, DIMENSION, 7) });
    }
    await engine.setAlias('live', 'one');
    let swapping = true;
    const swaps = (async () => {
      for (let i = 0; i < 10; i++) await engine.setAlias('live', i % 2 === 0 ? 'two' : 'one');
      swapping = false;
    })();
    let searches = 0;
    while (swapping || searches < 3) {
      const index = await engine.open('live');
      const [hits] = await index.search(unitVectors(1, DIMENSION, 7), { topK: 1 });
      assert.deepEqual(idsOf(hits), [ids[index.name]]);
      searches++;
      // An engine that searches without waiting for anything would never let the files be written.
      await setImmediate();
    }
    await swaps;
  });
}

interface Items {
  readonly ids: BigInt64Array;
  readonly vectors: Float32Array;
}

/** Searching with an item's own vector finds it first. */
async function assertFinds(index: VectorIndex, { ids, vectors }: Items, wanted: number[]): Promise<void> {
  for (const id of wanted) {
    const at = ids.indexOf(BigInt(id));
    const [hits] = await index.search(vectors.slice(at * DIMENSION, (at + 1) * DIMENSION), { topK: 1 });
    assert.deepEqual(idsOf(hits), [BigInt(id)]);
    assert.ok(
      Math.abs((hits?.scores[0] ?? 0) - 1) < SCORE_TOLERANCE,
      `score ${hits?.scores[0]} of item ${id}`,
    );
  }
}

/** Compares with a plain scan in double precision. */
function assertNeighbours(
  found: readonly SearchHits[],
  { ids, vectors }: Items,
  queries: Float32Array,
  passes: (id: number) => boolean,
  minRecall: number,
  what = 'search',
): void {
  let expectedCount = 0;
  let right = 0;
  for (const [q, hits] of found.entries()) {
    const scoreOf = (row: number): number => {
      let sum = 0;
      for (let i = 0; i < DIMENSION; i++)
        sum += (queries[q * DIMENSION + i] as number) * (vectors[row * DIMENSION + i] as number);
      return sum;
    };
    const scores = new Map(Array.from(ids, (id, row) => [id, scoreOf(row)]));
    const passing = [...scores].filter(([id]) => passes(Number(id))).sort(([, a], [, b]) => b - a);
    const wanted = passing.slice(0, TOP_K).map(([id]) => id);
    assert.equal(hits.ids.length, wanted.length, `${what}: number of hits of query ${q}`);
    assert.equal(new Set(hits.ids).size, hits.ids.length, `${what}: an id twice`);
    for (const [i, id] of hits.ids.entries()) {
      assert.ok(passes(Number(id)), `${what}: item ${id} does not pass`);
      const [score, before] = [hits.scores[i] as number, hits.scores[i - 1] ?? 2];
      assert.ok(
        Math.abs(score - (scores.get(id) as number)) < SCORE_TOLERANCE,
        `${what}: score of item ${id}`,
      );
      assert.ok(score <= before, `${what}: not best first`);
    }
    expectedCount += wanted.length;
    right += wanted.filter((id) => hits.ids.includes(id)).length;
  }
  assert.ok(right >= minRecall * expectedCount, `${what}: found ${right} of ${expectedCount} neighbours`);
}

const ascending = (a: bigint, b: bigint): number => (a < b ? -1 : Number(a > b));
