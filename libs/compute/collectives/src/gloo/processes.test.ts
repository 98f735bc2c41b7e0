import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, test } from 'node:test';
import { exitOf, type MemberOptions, MemberProcesses, messageOf } from '../testing/member-processes.ts';
import { skipWithoutGloo } from '../testing.ts';

const skip = skipWithoutGloo();
/** Long next to what a loss takes to be noticed, short next to a test. */
const TIMEOUT_MS = 20_000;
const SHORT_TIMEOUT_MS = 2_000;

const processes = new MemberProcesses();
after(() => processes.stopAll());

/** One group of processes; a store of its own each. */
function startGroup(
  scenarios: readonly MemberOptions['scenario'][],
  timeoutMs = TIMEOUT_MS,
): readonly ChildProcess[] {
  const group = new MemberProcesses();
  after(() => group.stopAll());
  const worldSize = scenarios.length;
  return scenarios.map((scenario, rank) => group.start({ rank, worldSize, timeoutMs, scenario }));
}

test('SIGKILL in the middle: the others are told at once, by rank where it can be known', {
  skip,
}, async () => {
  const [first, second, victim] = startGroup(Array(3).fill('sums for ever')) as [
    ChildProcess,
    ChildProcess,
    ChildProcess,
  ];
  await Promise.all([first, second, victim].map((child) => messageOf(child, 'progress')));
  const failures = Promise.all([first, second].map((child) => messageOf(child, 'failed')));
  const killedAt = performance.now();
  victim.kill('SIGKILL');
  const told = await failures;
  assert.ok(
    performance.now() - killedAt < TIMEOUT_MS / 2,
    'noticed by the broken connection, not by the time-out',
  );
  assert.deepEqual(
    told.map(({ name }) => name),
    ['LostReplicaError', 'LostReplicaError'],
  );
  for (const { lost } of told) assert.ok(lost === undefined || lost === 2);
  assert.deepEqual(await Promise.all([first, second].map(exitOf)), [0, 0]);
});

test('SIGSTOP: the others reject at the time-out', { skip }, async () => {
  const [first, victim] = startGroup(Array(2).fill('sums for ever'), SHORT_TIMEOUT_MS) as [
    ChildProcess,
    ChildProcess,
  ];
  await messageOf(first, 'progress');
  victim.kill('SIGSTOP');
  const { name, message } = await messageOf(first, 'failed');
  assert.equal(name, 'DeadlineExceededError');
  assert.match(message, /within 2000 ms/);
  victim.kill('SIGKILL');
});

test('a rank that never calls, and one that never comes, are waited for until the time-out', {
  skip,
}, async () => {
  const [idle, caller] = startGroup(['does not call', 'sums for ever'], SHORT_TIMEOUT_MS) as [
    ChildProcess,
    ChildProcess,
  ];
  assert.equal((await messageOf(caller, 'failed')).name, 'DeadlineExceededError');
  idle.kill('SIGKILL');
  const alone = processes.start({
    rank: 0,
    worldSize: 2,
    timeoutMs: SHORT_TIMEOUT_MS,
    scenario: 'sums for ever',
  });
  assert.match((await messageOf(alone, 'failed')).message, /not every replica connected within 2000 ms/);
  assert.equal(await exitOf(alone), 0);
});

test('death between publishing an address and connecting ends by the time-out', { skip }, async () => {
  const [survivor] = startGroup(['sums for ever', 'dies after publishing'], SHORT_TIMEOUT_MS) as [
    ChildProcess,
  ];
  const { name } = await messageOf(survivor, 'failed');
  assert.ok(['DeadlineExceededError', 'LostReplicaError'].includes(name), name);
  assert.equal(await exitOf(survivor), 0);
});

test('a process may exit while a collective waits, or without closing', { skip }, async () => {
  const [leaver, idle] = startGroup(['waits and exits', 'does not call']) as [ChildProcess, ChildProcess];
  assert.equal(await exitOf(leaver), 7);
  idle.kill('SIGKILL');
  const both = startGroup(['ends without closing', 'ends without closing']);
  assert.deepEqual(await Promise.all(both.map(exitOf)), [0, 0]);
});
