import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { prefetch } from './prefetch.ts';

test('keeps the order and holds no more than asked for besides the result in use', async () => {
  let inFlight = 0;
  let most = 0;
  const results: number[] = [];
  const load = async (item: number) => {
    most = Math.max(most, ++inFlight);
    await turn();
    return item * 2;
  };
  for await (const result of prefetch([1, 2, 3, 4, 5], 2, load)) {
    inFlight--;
    results.push(result);
    await turn();
  }
  assert.deepEqual(results, [2, 4, 6, 8, 10]);
  assert.equal(most, 3);
});

test('the next item is prepared while one is in use', async () => {
  const started: number[] = [];
  const iterator = prefetch([1, 2, 3, 4], 2, async (item) => {
    started.push(item);
    return item;
  });
  await iterator.next();
  assert.deepEqual(started, [1, 2, 3]);
  await iterator.return();
});

test('a failure comes in its turn, and leaving waits for what was started', async () => {
  const finished: number[] = [];
  const results: number[] = [];
  await assert.rejects(async () => {
    for await (const result of prefetch([1, 2, 3], 3, async (item) => {
      if (item === 2) throw new Error('item 2');
      await turn();
      finished.push(item);
      return item;
    }))
      results.push(result);
  }, /item 2/);
  assert.deepEqual(results, [1]);
  assert.deepEqual(finished, [1, 3]);
});
