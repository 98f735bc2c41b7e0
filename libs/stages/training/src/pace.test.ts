import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from './pace.ts';

const durations = (...seconds: number[]) => seconds.map((stepSeconds) => ({ stepSeconds, dataSeconds: 0.5 }));

test('a report holds the means since the one before', () => {
  const pace = new Pace();
  for (const duration of durations(1, 2, 3)) pace.add(duration);
  assert.deepEqual(pace.takeReport(), { stepSeconds: 2, dataSeconds: 0.5 });
  pace.add({ stepSeconds: 10, dataSeconds: 2 });
  assert.deepEqual(pace.takeReport(), { stepSeconds: 10, dataSeconds: 2 });
});

test('the pace forgets the first step, which pays for set-up, and old ones', () => {
  const pace = new Pace();
  assert.equal(pace.secondsPerStep, 0);
  pace.add({ stepSeconds: 60, dataSeconds: 0 });
  assert.equal(pace.secondsPerStep, 60);
  for (const duration of durations(1, 2)) pace.add(duration);
  assert.equal(pace.secondsPerStep, 1.5);
  for (let i = 0; i < 50; i++) pace.add({ stepSeconds: 4, dataSeconds: 0 });
  assert.equal(pace.secondsPerStep, 4);
});
