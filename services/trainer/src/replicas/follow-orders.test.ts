import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  CancelledError,
  DataFolder,
  DeadlineExceededError,
  InvalidInputError,
  silentLogger,
  UnavailableError,
} from '@online-cnclip/foundation';
import { Coordinator, RunOrders, replicaService } from '@online-cnclip/replicas';
import { createService } from '@online-cnclip/service-kit';
import type { TrainingResult } from '@online-cnclip/training';
import type { LaunchReplica } from '../training/launch-training.ts';
import { followOrders, optionsOf } from './follow-orders.ts';

const RESULT: TrainingResult = { outcome: 'stopped', step: 7, epoch: 1 };

function newFolder(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'follow-orders-')));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A replica 0 that gives orders, and a follower whose processes end as the test says. */
async function startFollower(t: TestContext, launch: LaunchReplica) {
  const orders = new RunOrders(2);
  const service = createService({
    name: 'replicas',
    implementations: [replicaService(new Coordinator(), orders)],
    logger: silentLogger,
    drainTimeoutMs: 100,
  });
  const address = await service.listen('127.0.0.1:0');
  const stop = new AbortController();
  const place = { rank: 1, worldSize: 2, address, gatherTimeoutMs: 1, collectiveTimeoutMs: 1 };
  const following = followOrders(
    { launch, place, dataFolder: newFolder(t), logger: silentLogger },
    stop.signal,
  ).catch((error: unknown) => assert.ok(error instanceof CancelledError, String(error)));
  t.after(async () => {
    stop.abort();
    await following;
    await service.close();
  });
  const optionsJson = JSON.stringify({ trainData: '/data/train', logs: '/data/logs' });
  return { orders, give: (run: string) => orders.start({ run, optionsJson, dataFolder: '/data' }) };
}

test('who was lost or waited in vain for the others takes part again, while the order stands', async (t) => {
  const endings = [new UnavailableError('killed'), new DeadlineExceededError('nobody came')];
  const launched: string[] = [];
  const { promise: back, resolve } = Promise.withResolvers<void>();
  const { give, orders } = await startFollower(t, async (_, { signal }, { run }) => {
    launched.push(run);
    const error = endings.shift();
    if (error) throw error;
    resolve();
    return new Promise((end) => signal.addEventListener('abort', () => end(RESULT)));
  });
  give('one');
  await back;
  assert.deepEqual(launched, ['one', 'one', 'one']);
  orders.end();
});

test('what fails is not tried again before there is another order; who has left takes part in it', async (t) => {
  const launched: string[] = [];
  const failed = Promise.withResolvers<void>();
  const trained = Promise.withResolvers<void>();
  const { give } = await startFollower(t, async (_, __, { run }) => {
    launched.push(run);
    if (run === 'good') {
      trained.resolve();
      return RESULT;
    }
    failed.resolve();
    throw new InvalidInputError('these options cannot be');
  });
  give('bad');
  await failed.promise;
  give('good');
  await trained.promise;
  // As from a replica 0 that was lost and came back to its run.
  for (; launched.length < 3; await setTimeout(20)) give('good');
  assert.deepEqual(launched.slice(0, 3), ['bad', 'good', 'good']);
});

test("a replica takes part with its own data folder in the order's paths, and in no path outside", (t) => {
  const folder = newFolder(t);
  const own = new DataFolder(folder);
  const order = (trainData: string) => ({
    run: 'r',
    dataFolder: '/data',
    optionsJson: JSON.stringify({ trainData, logs: '/data', batchSize: 3 }),
  });
  const options = optionsOf(order('/data/datasets/MUGE/lmdb/train'), own);
  assert.equal(options.trainData, join(folder, 'datasets/MUGE/lmdb/train'));
  assert.equal(options.logs, folder);
  assert.equal(options.batchSize, 3);
  for (const path of ['/etc', '/data/../etc', '/database'])
    assert.throws(
      () => optionsOf(order(path), own),
      (error) => error instanceof InvalidInputError && error.place === 'trainData',
      path,
    );
});
