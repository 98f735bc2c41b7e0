import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CancelledError, ResourceExhaustedError } from '@online-cnclip/foundation';
import { checkpointEvent, record, stepEvent } from '../testing.ts';
import { type RunUpdate, WatchFeed } from './watch-feed.ts';

const at = 0;
const step = (number: number): RunUpdate => ({ ...stepEvent(number), at });
const checkpoint = (number: number): RunUpdate => ({ ...checkpointEvent(number), savedAt: 0, at });
const final: RunUpdate = { kind: 'record', at, record: record({ state: 'completed' }) };
const never = new AbortController().signal;

const describe = (update: RunUpdate) => {
  if (update.kind === 'record') return update.record.state;
  return 'step' in update ? `${update.kind} ${update.step}` : update.kind;
};

async function collect(updates: AsyncIterable<RunUpdate>): Promise<string[]> {
  const seen: string[] = [];
  for await (const update of updates) seen.push(describe(update));
  return seen;
}

test('a watcher gets the run as it is, then what happens, to its end', async () => {
  const feed = new WatchFeed();
  const watching = collect(feed.watch(record({ state: 'running' }), never));
  await Promise.resolve();
  feed.publish(step(1));
  feed.publish(checkpoint(1));
  feed.publish(final);
  assert.deepEqual(await watching, ['running', 'step 1', 'checkpoint 1', 'completed']);
});

test('a watcher that comes after the end gets the final state and ends', async () => {
  assert.deepEqual(await collect(new WatchFeed().watch(record({ state: 'failed' }), never)), ['failed']);
});

test('a slow watcher loses old step reports and nothing else', async () => {
  const feed = new WatchFeed();
  const updates = feed.watch(record({ state: 'running' }), never);
  await updates.next();
  feed.publish(checkpoint(0));
  for (let i = 1; i <= 500; i++) feed.publish(step(i));
  feed.publish(final);
  const seen = await collect(updates);
  assert.equal(seen[0], 'checkpoint 0');
  assert.deepEqual(seen.slice(-3), ['step 499', 'step 500', 'completed']);
  assert.equal(seen.length, 102);
});

test('a watcher that never reads is let go, with bounded memory', async () => {
  const feed = new WatchFeed();
  const updates = feed.watch(record({ state: 'running' }), never);
  await updates.next();
  for (let i = 0; i < 1_100; i++) feed.publish(checkpoint(i));
  await assert.rejects(collect(updates), ResourceExhaustedError);
});

test('the signal ends a watch that waits', async () => {
  const stop = new AbortController();
  const watching = collect(new WatchFeed().watch(record({ state: 'running' }), stop.signal));
  setImmediate(() => stop.abort());
  await assert.rejects(watching, CancelledError);
});
