import assert from 'node:assert/strict';
import test from 'node:test';
import { planTextBatch, type TextBatchLimits } from './text-batch-plan.ts';

const limits: TextBatchLimits = { maxTexts: 4, maxTokens: 100, overheadTokens: 10 };
const sorted = (indices: number[]) => indices.toSorted((a, b) => a - b);

test('texts of alike length go together, a long one alone', () => {
  assert.deepEqual(sorted(planTextBatch([5, 60, 6, 5], limits)), [0, 2, 3]);
  assert.deepEqual(planTextBatch([60, 5, 6, 5], limits), [0]);
});

test('padding that costs less than a run of its own is worth it', () => {
  assert.deepEqual(sorted(planTextBatch([5, 12], limits)), [0, 1]);
  assert.deepEqual(planTextBatch([5, 20], limits), [0]);
});

test('limits of texts and of padded tokens hold', () => {
  assert.equal(planTextBatch(new Array(9).fill(3), limits).length, 4);
  assert.equal(planTextBatch(new Array(9).fill(40), limits).length, 2);
});

test('a text over the token limit goes alone', () => {
  assert.deepEqual(planTextBatch([500, 500], limits), [0]);
});

test('draining a queue batch by batch computes every text once, each batch within the limits', () => {
  let state = 7;
  const random = (below: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  let waiting = Array.from({ length: 200 }, (_, id) => ({ id, length: 3 + random(60) }));
  const done: number[] = [];
  while (waiting.length) {
    const chosen = planTextBatch(
      waiting.map(({ length }) => length),
      limits,
    );
    assert.ok(chosen.includes(0));
    const longest = Math.max(...chosen.map((index) => waiting[index]?.length ?? 0));
    assert.ok(chosen.length <= limits.maxTexts);
    assert.ok(chosen.length === 1 || chosen.length * longest <= limits.maxTokens);
    done.push(...chosen.map((index) => waiting[index]?.id ?? -1));
    waiting = waiting.filter((_, index) => !chosen.includes(index));
  }
  assert.deepEqual(
    sorted(done),
    Array.from({ length: 200 }, (_, id) => id),
  );
});

test('the cut is the cheapest one (against every way to cut, small cases)', () => {
  for (const lengths of [
    [3, 9, 4, 30, 8],
    [12, 3, 3, 3, 12, 14],
    [25, 24, 3, 2, 23],
  ]) {
    const chosen = planTextBatch(lengths, limits);
    assert.ok(cheapestPartitions(lengths).has(String(sorted(chosen))), `${lengths}: ${chosen}`);
  }
});

/** The batch with text 0 in each of the cheapest partitions into runs of neighbouring lengths. */
function cheapestPartitions(lengths: number[]): Set<string> {
  const order = lengths.map((_, i) => i).sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b);
  let [best, batches] = [Number.POSITIVE_INFINITY, new Set<string>()];
  for (let cuts = 0; cuts < 2 ** (order.length - 1); cuts++) {
    const runs: number[][] = [[]];
    order.forEach((index, position) => {
      runs.at(-1)?.push(index);
      if ((cuts >> position) & 1) runs.push([]);
    });
    const costs = runs.map((run) => {
      const tokens = run.length * (lengths[run.at(-1) ?? 0] ?? 0);
      const allowed = run.length <= limits.maxTexts && (run.length === 1 || tokens <= limits.maxTokens);
      return allowed ? limits.overheadTokens + tokens : Number.POSITIVE_INFINITY;
    });
    const cost = costs.reduce((a, b) => a + b, 0);
    if (cost < best) [best, batches] = [cost, new Set()];
    if (cost === best) batches.add(String(sorted(runs.find((run) => run.includes(0)) ?? [])));
  }
  return batches;
}
