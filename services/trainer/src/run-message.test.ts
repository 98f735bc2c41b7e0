import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { WatchRunResponse } from '@online-cnclip/contracts/trainer/v1';
import { DataFolder } from '@online-cnclip/foundation';
import { updateMessage } from './run-message.ts';
import { stepEvent } from './testing.ts';

const root = new DataFolder(mkdtempSync(join(tmpdir(), 'run-message-')));

/** What a client that watches gets of a step. */
function watched(event: Parameters<typeof updateMessage>[0]) {
  const bytes = WatchRunResponse.encode(updateMessage(event, root)).finish();
  const { event: received } = WatchRunResponse.decode(bytes);
  assert.ok(received?.$case === 'step');
  return received.value;
}

test('a watched step tells the loss scale, skipped steps and where the time of each replica went', () => {
  const replicas = [0, 1].map((rank) => ({
    rank,
    pairsPerSecond: 300 + rank,
    dataSeconds: 0.125,
    busySeconds: 0.5,
    waitedSeconds: 0.25 * rank,
  }));
  const step = watched({ ...stepEvent(3), at: 1, lossScale: 32_768, skippedSteps: 2, replicas });
  assert.equal(step.lossScale, 32_768);
  assert.equal(step.skippedSteps, 2n);
  assert.deepEqual(step.replicas, replicas);
});

test('in single precision there is no scale, which is not a scale of 0', () => {
  const step = watched({ ...stepEvent(3), at: 1 });
  assert.equal(step.lossScale, undefined);
  assert.equal(step.skippedSteps, undefined);
  assert.deepEqual(step.replicas, []);
});
