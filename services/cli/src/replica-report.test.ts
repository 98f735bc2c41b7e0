import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaPace } from '@online-cnclip/contracts/trainer/v1';
import { replicaRates, StragglerReport } from './replica-report.ts';

const pace = (rank: number, busySeconds: number): ReplicaPace => ({
  rank,
  pairsPerSecond: 100 / busySeconds,
  dataSeconds: 0.1,
  busySeconds,
  waitedSeconds: 0,
});

test("each replica's rate is told where there are several", () => {
  assert.equal(replicaRates([]), '');
  assert.equal(replicaRates([pace(0, 1)]), '');
  assert.equal(replicaRates([pace(0, 1), pace(1, 1.1)]), 'replicas 100.0 + 90.9');
});

test('a replica that holds up the others is told of once, and again when that changes', () => {
  const report = new StragglerReport();
  assert.equal(report.of([]), undefined);
  assert.equal(report.of([pace(0, 1), pace(1, 1.1)]), undefined);
  const slow = [pace(0, 1), pace(1, 2), pace(2, 1)];
  assert.equal(
    report.of(slow),
    'the others, busy 1.00 s a step, wait for replica 1 (busy 2.00 s a step, 0.10 s of it for data)',
  );
  assert.equal(report.of(slow), undefined);
  assert.match(report.of([pace(0, 3), pace(1, 1), pace(2, 1)]) ?? '', /wait for replica 0 /);
  assert.match(report.of([pace(0, 1), pace(1, 1), pace(2, 1)]) ?? '', /any more/);
  assert.match(report.of([pace(0, 3), pace(1, 1)]) ?? '', /wait for replica 0 /);
});
