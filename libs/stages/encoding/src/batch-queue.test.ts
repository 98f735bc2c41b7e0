import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledError, DeadlineExceededError, UnavailableError } from '@online-cnclip/foundation';
import { BatchQueue, type BatchRecord } from './batch-queue.ts';

/** A queue of numbers, doubled; runs end one by one as the test releases them. */
function setUp(maxItems = 4) {
  const batches: number[][] = [];
  const records: BatchRecord[] = [];
  const running: PromiseWithResolvers<void>[] = [];
  const queue = new BatchQueue<number, number>({
    window: 8,
    choose: (waiting) => waiting.slice(0, maxItems).map((_, index) => index),
    run: async (batch) => {
      batches.push([...batch]);
      const gate = Promise.withResolvers<void>();
      running.push(gate);
      await gate.promise;
      return batch.map((item) => item * 2);
    },
    onBatch: (record) => records.push(record),
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const release = async () => {
    running.shift()?.resolve();
    await turn();
  };
  return { queue, batches, records, running, release, turn };
}

test('an item starts at once when nothing is running', async () => {
  const { queue, batches, release, turn } = setUp();
  const result = queue.submit(1);
  await turn();
  assert.deepEqual(batches, [[1]]);
  await release();
  assert.equal(await result, 2);
});

test('items that arrive in one turn or while a batch runs share the next run, in order', async () => {
  const { queue, batches, records, release, turn } = setUp();
  const first = [queue.submit(1), queue.submit(2)];
  await turn();
  const later = [3, 4, 5].map((item) => queue.submit(item));
  await turn();
  later.push(queue.submit(6), queue.submit(7));
  assert.deepEqual(batches, [[1, 2]], 'one run at a time');
  await release();
  assert.deepEqual(batches, [
    [1, 2],
    [3, 4, 5, 6],
  ]);
  await release();
  await release();
  assert.deepEqual(await Promise.all([...first, ...later]), [2, 4, 6, 8, 10, 12, 14]);
  assert.deepEqual(
    records.map(({ items }) => items),
    [2, 4, 1],
  );
});

test('a cancelled item leaves before it is computed', async () => {
  const { queue, batches, release, turn } = setUp();
  const first = queue.submit(1);
  await turn();
  const controller = new AbortController();
  const cancelled = queue.submit(2, controller.signal);
  const kept = queue.submit(3);
  controller.abort();
  await assert.rejects(cancelled, CancelledError);
  assert.equal(queue.waiting, 1);
  await release();
  await release();
  assert.deepEqual(batches, [[1], [3]]);
  assert.deepEqual(await Promise.all([first, kept]), [2, 6]);
});

test('a deadline ends the wait for an item that is already being computed, with its own error', async () => {
  const { queue, release, turn } = setUp();
  const controller = new AbortController();
  const item = queue.submit(1, controller.signal);
  const neighbour = queue.submit(2);
  await turn();
  controller.abort(new DeadlineExceededError('too late'));
  await assert.rejects(item, DeadlineExceededError);
  await release();
  assert.equal(await neighbour, 4);
});

test('an item whose signal is aborted already is refused', async () => {
  const { queue, batches, turn } = setUp();
  await assert.rejects(queue.submit(1, AbortSignal.abort()), CancelledError);
  await turn();
  assert.deepEqual(batches, []);
});

test('a failed run fails its own items only', async () => {
  let runs = 0;
  const queue = new BatchQueue<number, number>({
    window: 1,
    choose: () => [0],
    run: async ([item = 0]) => {
      if (runs++ === 0) throw new Error('out of memory');
      return [item];
    },
  });
  const [first, second] = await Promise.allSettled([queue.submit(1), queue.submit(2)]);
  assert.match(String((first as PromiseRejectedResult).reason), /out of memory/);
  assert.deepEqual(second, { status: 'fulfilled', value: 2 });
});

test('a run that gives too few results fails instead of leaving callers with nothing', async () => {
  const queue = new BatchQueue<number, number>({ window: 4, choose: () => [0, 1], run: async () => [1] });
  const results = await Promise.allSettled([queue.submit(1), queue.submit(2)]);
  assert.ok(results.every(({ status }) => status === 'rejected'));
});

test('the oldest item always goes, even when the choice forgets it', async () => {
  const done: number[] = [];
  const queue = new BatchQueue<number, number>({
    window: 4,
    choose: (waiting) => [waiting.length - 1],
    run: async (batch) => {
      done.push(...batch);
      return batch;
    },
  });
  await Promise.all([1, 2, 3, 4, 5].map((item) => queue.submit(item)));
  assert.deepEqual(done, [1, 4, 2, 5, 3]);
});

test('never two runs at once, whenever items come', async () => {
  let [running, most] = [0, 0];
  const queue = new BatchQueue<number, number>({
    window: 3,
    choose: (waiting) => waiting.map((_, index) => index),
    run: async (batch) => {
      most = Math.max(most, ++running);
      await sleep(batch.length % 2);
      running -= 1;
      return batch;
    },
  });
  const submitOften = async (count: number): Promise<void> => {
    for (let item = 0; item < count; item++) {
      assert.equal(await queue.submit(item), item);
      if (item % 3 === 0) await sleep(0);
    }
  };
  await Promise.all([20, 25, 30].map(submitOften));
  assert.equal(most, 1);
});

test('closing refuses new items and waits for the accepted ones', async () => {
  const { queue, release, turn } = setUp();
  const accepted = queue.submit(1);
  await turn();
  let closed = false;
  const closing = queue.close().then(() => {
    closed = true;
  });
  await assert.rejects(queue.submit(2), UnavailableError);
  await turn();
  assert.equal(closed, false);
  await release();
  await closing;
  assert.equal(await accepted, 2);
});
