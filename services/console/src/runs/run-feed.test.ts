import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Run } from '@online-cnclip/contracts/trainer/v1';
import { runView } from '../views/run-view.ts';
import type { RunEvents } from '../wire.ts';
import { RunFeed } from './run-feed.ts';
import { MAX_STEPS, RunHistory } from './run-history.ts';

const point = (step: number) => ({
  step,
  loss: 10 / step,
  learningRate: 1e-3,
  pairsPerSecond: 1,
  etaSeconds: 0,
});
const run = runView(Run.fromPartial({ name: 'a', totalSteps: 10n }));

test('a long curve keeps its ends, its recent steps, and its limit', () => {
  const history = new RunHistory(run);
  const last = MAX_STEPS * 3;
  for (let step = 1; step <= last; step++) history.addStep(point(step));
  const steps = history.snapshot().steps.map(({ step }) => step);
  assert.ok(steps.length <= MAX_STEPS && steps.length > MAX_STEPS / 4, String(steps.length));
  assert.equal(steps[0], 1);
  assert.deepEqual(
    steps.slice(-100),
    Array.from({ length: 100 }, (_, i) => last - 99 + i),
  );
  assert.deepEqual(
    steps,
    [...new Set(steps)].sort((a, b) => a - b),
  );
});

test('steps that a resumed run does again replace those it did before', () => {
  const history = new RunHistory(run);
  for (const step of [1, 2, 3, 4, 2]) history.addStep(point(step));
  assert.deepEqual(
    history.snapshot().steps.map(({ step }) => step),
    [1, 2],
  );
});

test('a reader gets events in order; one that falls behind gets the history anew, and misses nothing after it', async () => {
  const feed = new RunFeed(run);
  const leaving = new AbortController();
  const events = feed.follow(undefined, leaving.signal);
  const next = async () => (await events.next()).value;
  assert.equal((await next())?.name, 'history');
  feed.publish({ name: 'step', data: point(1) });
  feed.publish({ name: 'step', data: point(2) });
  assert.deepEqual([(await next())?.data, (await next())?.data], [point(1), point(2)]);
  for (let step = 3; step <= 2_000; step++) feed.publish({ name: 'step', data: point(step) });
  const anew = await next();
  assert.equal(anew?.name, 'history');
  assert.equal((anew.data as RunEvents['history']).steps.at(-1)?.step, 2_000);
  feed.publish({ name: 'step', data: point(2_001) });
  assert.deepEqual((await next())?.data, point(2_001));
  const waiting = next();
  leaving.abort();
  assert.equal(await waiting, undefined);
});
