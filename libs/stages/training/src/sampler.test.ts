import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchesPerEpoch, epochOrder } from './sampler.ts';

test('the last batch is filled up from the start of the data set', () => {
  assert.equal(batchesPerEpoch(10, 4), 3);
  const counts = new Map<number, number>();
  for (const index of epochOrder(10, 4, 1, 0)) counts.set(index, (counts.get(index) ?? 0) + 1);
  assert.equal(counts.size, 10);
  for (const [index, count] of counts) assert.equal(count, index < 2 ? 2 : 1, `pair ${index}`);
});

test('a batch larger than the data set goes around more than once', () => {
  const order = [...epochOrder(3, 8, 1, 0)].sort();
  assert.deepEqual(order, [0, 0, 0, 1, 1, 1, 2, 2]);
});

test('full batches are not padded', () => {
  assert.deepEqual([...epochOrder(8, 4, 5, 2)].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('the order is shuffled, the same for the same seed and epoch, another for another', () => {
  const order = (seed: number, epoch: number) => epochOrder(100, 10, seed, epoch).join();
  assert.equal(order(1, 0), order(1, 0));
  assert.notEqual(order(1, 0), order(1, 1));
  assert.notEqual(order(1, 0), order(9, 0));
  assert.notEqual(order(1, 0), Uint32Array.from({ length: 100 }, (_, i) => i).join());
});
