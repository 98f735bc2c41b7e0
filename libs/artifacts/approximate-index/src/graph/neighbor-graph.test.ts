import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import { clusteredPoints, nearest, uniformNumbers } from '../testing/points.ts';
import { DEFAULT_GRAPH_OPTIONS, GRAPH_PRECISIONS, type GraphPrecision } from './graph-options.ts';
import { NeighborGraph } from './neighbor-graph.ts';

const DIMENSION = 32;
const folder = await mkdtemp(join(tmpdir(), 'graph-'));
const opened: NeighborGraph[] = [];
after(async () => {
  await Promise.all(opened.map((graph) => graph.close()));
  await rm(folder, { recursive: true });
});

function open(precision: GraphPrecision = 'float32'): NeighborGraph {
  const graph = new NeighborGraph({ ...DEFAULT_GRAPH_OPTIONS, dimension: DIMENSION, precision });
  opened.push(graph);
  return graph;
}

const flat = (vectors: readonly Float32Array[]): Float32Array =>
  Float32Array.from(vectors.flatMap((vector) => [...vector]));

const put = (graph: NeighborGraph, points: ReadonlyMap<bigint, Float32Array>): Promise<void> =>
  graph.replace(BigInt64Array.from(points.keys()), flat([...points.values()]));

/** Share of the ten nearest that the graph finds among `wanted`. */
async function recall(
  graph: NeighborGraph,
  points: ReadonlyMap<bigint, Float32Array>,
  { queries, wanted = 10 }: { queries: readonly Float32Array[]; wanted?: number },
): Promise<number> {
  const answers = await graph.search(queries, wanted);
  let found = 0;
  for (const [index, query] of queries.entries()) {
    const ids = new Set(answers[index]);
    for (const id of ids) assert.ok(points.has(id), `${id} is not in the graph`);
    found += nearest(points, query, 10).filter((id) => ids.has(id)).length;
  }
  return found / (queries.length * 10);
}

test('finds the nearest by all 64 bits of an id, through replacing and removing, in each precision', async () => {
  for (const precision of GRAPH_PRECISIONS) {
    const graph = open(precision);
    const next = clusteredPoints(DIMENSION, 20, 1);
    const random = uniformNumbers(2);
    const queries = Array.from({ length: 40 }, next);
    // Neighbours of 2^53 differ in bits that a double does not have.
    const ids = Array.from({ length: 600 }, (_, index) =>
      index % 2 === 0 ? 2n ** 53n + BigInt(index) : -(2n ** 63n) + BigInt(index),
    );
    const points = new Map(ids.map((id) => [id, next()]));
    await put(graph, points);
    for (let round = 0; round < 3; round++) {
      const some = ids.filter((id) => points.has(id) && random() < 0.3);
      const moved = new Map(some.map((id) => [id, next()]));
      await put(graph, moved);
      for (const [id, point] of moved) points.set(id, point);
      const gone = some.filter(() => random() < 0.3);
      await graph.remove(BigInt64Array.from([...gone, 5n]));
      for (const id of gone) points.delete(id);
      assert.equal(graph.size, points.size);
      const found = await recall(graph, points, { queries, wanted: precision === 'int8' ? 30 : 10 });
      assert.ok(found > 0.95, `${precision}: recall ${found}`);
    }
  }
});

test('a file brings the graph back, in memory or mapped, and a mapped one can still change', async () => {
  const graph = open();
  const next = clusteredPoints(DIMENSION, 5, 3);
  const points = new Map(Array.from({ length: 200 }, (_, index) => [BigInt(index), next()]));
  const queries = [next(), next()];
  await put(graph, points);
  const path = join(folder, 'graph');
  await graph.save(path);
  const before = await graph.search(queries, 10);
  for (const way of ['load', 'map'] as const) {
    const again = open();
    await again[way](path);
    assert.equal(again.size, 200);
    assert.deepEqual(await again.search(queries, 10), before);
    const query = next();
    await again.replace(BigInt64Array.of(7n, 1_000n), flat([query, query]));
    assert.equal(again.size, 201);
    assert.deepEqual([...((await again.search([query], 2))[0] ?? [])].sort(), [1_000n, 7n]);
  }
  const missing = open();
  await assert.rejects(missing.load(join(folder, 'none')), /usearch: No such file/);
  assert.deepEqual(await missing.search(queries, 10), [new BigInt64Array(), new BigInt64Array()]);
});

test('callers that search at once each get their own answers', async () => {
  const graph = open();
  const next = clusteredPoints(DIMENSION, 5, 4);
  const points = new Map(Array.from({ length: 300 }, (_, index) => [BigInt(index), next()]));
  await put(graph, points);
  const callers = Array.from({ length: 20 }, (_, index) => ({
    queries: Array.from({ length: 1 + (index % 3) }, next),
    wanted: 1 + (index % 7),
  }));
  const alone: unknown[] = [];
  for (const { queries, wanted } of callers) alone.push(await graph.search(queries, wanted));
  const changing = graph.replace(BigInt64Array.of(0n), flat([points.get(0n) as Float32Array]));
  const together = await Promise.all(callers.map(({ queries, wanted }) => graph.search(queries, wanted)));
  await changing;
  for (const [index, answers] of together.entries())
    assert.deepEqual(
      answers.map((ids) => ids.length),
      (alone[index] as BigInt64Array[]).map((ids) => ids.length),
    );
  assert.deepEqual(together, alone);
});

test('what is no good is refused before it reaches usearch', async () => {
  const graph = open();
  const vector = new Float32Array(DIMENSION).fill(1);
  await assert.rejects(graph.replace(BigInt64Array.of(1n), vector.subarray(1)), InvalidInputError);
  await assert.rejects(graph.replace(BigInt64Array.of(-1n), vector), /-1 cannot be in a graph/);
  await assert.rejects(graph.replace(BigInt64Array.of(1n, 1n), flat([vector, vector])), /twice/);
  await assert.rejects(graph.search([vector.subarray(1)], 1), InvalidInputError);
  for (const wrong of [
    { dimension: 0 },
    { threads: 0.5 },
    { connectivity: 1e9 },
    { precision: 'f8' as 'int8' },
  ])
    assert.throws(
      () => new NeighborGraph({ ...DEFAULT_GRAPH_OPTIONS, dimension: 2, ...wrong }),
      (error) => error instanceof InvalidInputError && Object.keys(wrong).includes(error.place ?? ''),
    );
  const stop = new AbortController();
  const reason = new Error('enough');
  stop.abort(reason);
  await assert.rejects(graph.search([vector], 1, { signal: stop.signal }), reason);
  await assert.rejects(graph.replace(BigInt64Array.of(1n), vector, { signal: stop.signal }), reason);
  assert.equal(graph.size, 0);
});

test('closing refuses what waits and what comes', async () => {
  const graph = open();
  const vector = new Float32Array(DIMENSION).fill(1);
  const waiting = [graph.replace(BigInt64Array.of(1n), vector), graph.search([vector], 1)];
  const settled = Promise.allSettled(waiting);
  await graph.close();
  for (const outcome of await settled)
    assert.ok(outcome.status === 'rejected' && outcome.reason instanceof FailedPreconditionError);
  await assert.rejects(graph.search([vector], 1), FailedPreconditionError);
  await graph.close();
});
