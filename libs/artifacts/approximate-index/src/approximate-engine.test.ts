import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createLogger, NotFoundError } from '@online-cnclip/foundation';
import {
  ApproximateEngine,
  type ApproximateEngineOptions,
  DEFAULT_APPROXIMATE_OPTIONS,
} from './approximate-engine.ts';
import type { ApproximateIndex } from './approximate-index.ts';
import { type AttributeTest, type MemorySource, MemorySourceEngine } from './testing/memory-source.ts';
import { clusteredPoints, uniformNumbers } from './testing/points.ts';

const DIMENSION = 16;
const root = await mkdtemp(join(tmpdir(), 'approximate-'));
after(() => rm(root, { recursive: true }));

interface Opened {
  readonly engine: ApproximateEngine<AttributeTest>;
  readonly lines: Record<string, unknown>[];
}

function open(
  source: MemorySourceEngine,
  folder: string,
  options: Partial<ApproximateEngineOptions> = {},
): Opened {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger('test', 'info', { write: (line) => lines.push(JSON.parse(line)) });
  const engine = new ApproximateEngine(source, {
    ...DEFAULT_APPROXIMATE_OPTIONS,
    folder: join(root, folder),
    minItems: 100,
    logger,
    ...options,
  });
  return { engine, lines };
}

const next = clusteredPoints(DIMENSION, 10, 1);
const flat = (vectors: readonly Float32Array[]): Float32Array =>
  Float32Array.from(vectors.flatMap((vector) => [...vector]));
const points = (count: number): Float32Array => flat(Array.from({ length: count }, next));
const range = (from: number, count: number): BigInt64Array =>
  BigInt64Array.from({ length: count }, (_, index) => BigInt(from + index));

/** An engine with an index of 600 items whose graph is complete. */
async function filled(
  folder: string,
): Promise<Opened & { source: MemorySourceEngine; index: ApproximateIndex<AttributeTest> }> {
  const source = new MemorySourceEngine();
  const opened = open(source, folder);
  const index = await opened.engine.create({ name: 'shop', dimension: DIMENSION });
  const ids = range(0, 600);
  const attributes = Array.from(ids, (id) => ({ rare: id % 100n === 0n, even: id % 2n === 0n }));
  await index.upsert({ ids, vectors: points(600), attributes });
  await index.whenPlaced();
  return { ...opened, source, index };
}

/** Compares with the source, and returns the share of its ten nearest that were found. */
async function recall(
  index: ApproximateIndex<AttributeTest>,
  source: MemorySource,
  options: { readonly topK: number; readonly filter?: AttributeTest } = { topK: 10 },
): Promise<number> {
  const queries = points(20);
  const found = await index.search(queries, options);
  const wanted = await source.search(queries, options);
  let right = 0;
  let all = 0;
  for (const [row, { ids, scores }] of wanted.entries()) {
    const hits = found[row];
    assert.equal(hits?.ids.length, ids.length);
    const known = new Map(Array.from(ids, (id, at) => [id, scores[at]]));
    for (const [at, id] of hits.ids.entries()) {
      assert.equal(scores[at] === undefined || (hits.scores[at] ?? 2) <= (hits.scores[at - 1] ?? 2), true);
      if (!known.has(id)) continue;
      assert.equal(hits.scores[at], known.get(id));
      right++;
    }
    all += ids.length;
  }
  return right / all;
}

const opens = (lines: readonly Record<string, unknown>[]) =>
  lines.filter(({ msg }) => msg === 'graph opened');
const completions = (lines: readonly Record<string, unknown>[]) =>
  lines.filter(({ msg }) => msg === 'graph is complete');
const memorySource = (source: MemorySourceEngine): MemorySource => source.indexes.get('shop') as MemorySource;

test('the graph answers, with the scores of the index, and the index where a filter lets few through', async () => {
  const { engine, index, source } = await filled('answers');
  const memory = memorySource(source);
  assert.ok(index.isApproximate);
  assert.ok((await recall(index, memory)) > 0.97);
  assert.ok((await recall(index, memory, { topK: 10, filter: ({ even }) => even === true })) > 0.97);
  // Each comparison searched the source once itself: the graph was asked, and answered alone.
  assert.equal(memory.searches, 2);
  assert.equal(await recall(index, memory, { topK: 10, filter: ({ rare }) => rare === true }), 1);
  assert.equal(await recall(index, memory, { topK: 700 }), 1);
  assert.equal(memory.searches, 6);
  await engine.close();
});

test('a small index is searched whole, until it is large', async () => {
  const source = new MemorySourceEngine();
  const { engine, lines } = open(source, 'small');
  const index = await engine.create({ name: 'shop', dimension: DIMENSION });
  await index.upsert({ ids: range(0, 99), vectors: points(99) });
  await index.whenPlaced();
  assert.equal(index.isApproximate, false);
  assert.equal((await index.search(points(1), { topK: 5 }))[0]?.ids.length, 5);
  assert.equal(lines.length, 0);
  await index.upsert({ ids: range(99, 1), vectors: points(1) });
  await index.whenPlaced();
  assert.equal(index.isApproximate, true);
  assert.deepEqual(
    opens(lines).map(({ saved, items }) => [saved, items]),
    [[0, 100]],
  );
  await engine.close();
});

test('what was upserted is found at once and what was deleted no more, while the graph is behind', async () => {
  const { engine, index } = await filled('behind');
  const random = uniformNumbers(5);
  const known = new Map<bigint, Float32Array>();
  for (let round = 0; round < 60; round++) {
    // -1 is the id that usearch cannot hold.
    const id = round % 7 === 0 ? -1n : BigInt(10_000 + Math.floor(random() * 30));
    const point = next();
    if (known.has(id) && random() < 0.4) {
      await index.delete(BigInt64Array.of(id));
      known.delete(id);
      const [hits] = await index.search(point, { topK: 600 });
      assert.ok(!hits?.ids.includes(id));
    } else {
      await index.upsert({ ids: BigInt64Array.of(id), vectors: point });
      known.set(id, point);
    }
    for (const [item, vector] of known) {
      const [hits] = await index.search(vector, { topK: 1 });
      assert.equal(hits?.ids[0], item);
    }
  }
  assert.ok(index.isApproximate);
  await engine.close();
});

test('after a restart the saved graph is used, mapped or in memory, and nothing is placed twice', async () => {
  const { engine, source, lines } = await filled('restart');
  await engine.close();
  assert.deepEqual(
    completions(lines).map(({ changed }) => changed),
    [600],
  );
  for (const memoryMapped of [false, true]) {
    const again = open(source, 'restart', { memoryMapped });
    const index = await again.engine.open('shop');
    assert.equal(await again.engine.open('shop'), index);
    await index.whenPlaced();
    assert.deepEqual(
      completions(again.lines).map(({ items, changed }) => [items, changed]),
      [[600, 0]],
    );
    assert.ok(index.isApproximate);
    assert.ok((await recall(index, memorySource(source))) > 0.97);
    await index.upsert({ ids: range(5_000, 1), vectors: points(1) });
    await index.delete(range(5_000, 1));
    await index.whenPlaced();
    await again.engine.close();
  }
});

test('a graph older than the index catches up', async () => {
  const { engine, source } = await filled('older');
  await engine.close();
  await cp(join(root, 'older'), join(root, 'crashed'), { recursive: true });
  const memory = memorySource(source);
  const moved = points(50);
  await memory.upsert({ ids: range(0, 50), vectors: moved });
  await memory.upsert({ ids: range(600, 25), vectors: points(25) });
  await memory.delete(range(100, 30));
  const { engine: crashed, lines } = open(source, 'crashed');
  const index = await crashed.open('shop');
  await index.whenPlaced();
  assert.deepEqual(
    completions(lines).map(({ items, changed }) => [items, changed]),
    [[595, 105]],
  );
  assert.ok(index.isApproximate);
  assert.ok((await recall(index, memory)) > 0.97);
  for (const row of [0, 20, 49]) {
    const [hits] = await index.search(moved.slice(row * DIMENSION, (row + 1) * DIMENSION), { topK: 1 });
    assert.equal(hits?.ids[0], BigInt(row));
  }
  await crashed.close();
});

test('a graph that is damaged, or made otherwise, is built anew', async () => {
  const { engine, source } = await filled('whole');
  await engine.close();
  const graphFile = (await readdir(join(root, 'whole/shop'))).find((name) =>
    name.startsWith('graph-'),
  ) as string;
  const flip = async (path: string): Promise<void> => {
    const bytes = await readFile(path);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] as number) ^ 1;
    await writeFile(path, bytes);
  };
  const damages: Record<string, (folder: string) => Promise<void>> = {
    flippedGraph: (folder) => flip(join(folder, graphFile)),
    shortGraph: (folder) => truncate(join(folder, graphFile), 1_000),
    noGraph: (folder) => rm(join(folder, graphFile)),
    flippedPlaced: (folder) => flip(join(folder, 'placed')),
    emptyPlaced: (folder) => truncate(join(folder, 'placed'), 0),
    noPlaced: (folder) => rm(join(folder, 'placed')),
    nothing: async () => {},
  };
  for (const [name, damage] of Object.entries(damages)) {
    await cp(join(root, 'whole'), join(root, name), { recursive: true });
    await damage(join(root, name, 'shop'));
    const { engine: again, lines } = open(source, name, name === 'nothing' ? { precision: 'int8' } : {});
    const index = await again.open('shop');
    await index.whenPlaced();
    assert.deepEqual(
      completions(lines).map(({ changed }) => changed),
      [600],
      name,
    );
    const warnings = lines.filter(({ msg }) => String(msg).includes('no good'));
    assert.equal(warnings.length, ['noPlaced', 'nothing'].includes(name) ? 0 : 1, name);
    assert.ok((await recall(index, memorySource(source))) > 0.97, name);
    await again.close();
    // One graph is left, and whole again.
    assert.equal((await readdir(join(root, name, 'shop'))).length, 2, name);
  }
});

test('a graph that cannot be saved answers all the same', async () => {
  await writeFile(join(root, 'a-file'), '');
  const { engine, index, source, lines } = await filled('a-file');
  assert.ok(index.isApproximate);
  assert.ok((await recall(index, memorySource(source))) > 0.97);
  await engine.close();
  assert.deepEqual(lines.map(({ msg }) => msg).slice(-1), ['graph was not saved']);
});

test('a dropped index takes its graph along, and another of its name begins anew', async () => {
  const { engine, index, source } = await filled('dropped');
  await engine.close();
  const { engine: again } = open(source, 'dropped');
  const opened = await again.open('shop');
  await opened.whenPlaced();
  const searches = Array.from({ length: 20 }, () => opened.search(points(1), { topK: 3 }));
  const settled = Promise.allSettled(searches);
  await again.drop('shop');
  for (const outcome of await settled)
    assert.ok(outcome.status === 'fulfilled' || outcome.reason instanceof NotFoundError);
  await assert.rejects(opened.search(points(1), { topK: 3 }), NotFoundError);
  assert.deepEqual(await readdir(join(root, 'dropped')), []);
  const fresh = await again.create({ name: 'shop', dimension: DIMENSION });
  assert.notEqual(fresh, index);
  assert.deepEqual((await fresh.search(points(1), { topK: 3 }))[0]?.ids.length, 0);
  await again.close();
});
