import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  AlreadyExistsError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  silentLogger,
  UnavailableError,
} from '@online-cnclip/foundation';
import {
  adaptOptions,
  checkpointEvent,
  noAdaptation,
  onlineSummary,
  options,
  stepEvent,
  validationEvent,
} from '../testing.ts';
import { RunJournal } from './run-journal.ts';
import { RunStore } from './run-store.ts';
import { type LaunchTraining, Runs, type RunsOptions } from './runs.ts';

const never = new AbortController().signal;
const newFolder = () => mkdtempSync(join(tmpdir(), 'runs-'));

const open = (folder: string, launch: LaunchTraining, given: Partial<RunsOptions> = {}) =>
  Runs.open({ store: new RunStore(folder), launch, logger: silentLogger, ...noAdaptation, ...given });

/** Reports a step, then goes on until it is stopped; "saves" then. */
const untilStopped: LaunchTraining = (_, { signal, onEvent }) => {
  const started = {
    kind: 'started',
    totalSteps: 100,
    totalEpochs: 4,
    stepsPerEpoch: 25,
    startStep: 0,
  } as const;
  onEvent({ ...started, pairs: 100 });
  onEvent(stepEvent(7));
  const { promise, resolve } = Promise.withResolvers<Awaited<ReturnType<LaunchTraining>>>();
  const end = () => {
    onEvent(checkpointEvent(8));
    resolve({ outcome: 'stopped', step: 8, epoch: 1 });
  };
  if (signal.aborted) setImmediate(end);
  else signal.addEventListener('abort', () => setImmediate(end));
  return promise;
};

test('a run is told of from its start to its end, to several watchers', async () => {
  const launch: LaunchTraining = async (_, { onEvent }) => {
    onEvent({ kind: 'started', totalSteps: 2, totalEpochs: 1, stepsPerEpoch: 2, startStep: 0, pairs: 8 });
    onEvent(stepEvent(1));
    onEvent(validationEvent(2));
    onEvent(checkpointEvent(2));
    return { outcome: 'completed', step: 2, epoch: 1 };
  };
  const runs = await open(newFolder(), launch);
  const started = runs.start(options(), '/data/experiments/run-1');
  assert.equal(started.state, 'starting');
  const watch = async () => {
    const seen: string[] = [];
    for await (const update of runs.watch('run-1', never))
      seen.push(update.kind === 'record' ? update.record.state : update.kind);
    return seen;
  };
  const expected = ['starting', 'running', 'step', 'validation', 'checkpoint', 'completed'];
  assert.deepEqual(await Promise.all([watch(), watch()]), [expected, expected]);
  const record = runs.get('run-1');
  assert.equal(record.latestStep?.loss, 0.5);
  assert.equal(record.latestValidation?.recall.meanRecall, 20);
  assert.equal(record.checkpoints.length, 1);
  assert.ok(record.endedAt !== undefined);
});

test('one run at a time, and stopping saves', async () => {
  const runs = await open(newFolder(), untilStopped);
  runs.start(options(), '/f');
  assert.throws(() => runs.start(options(), '/f'), AlreadyExistsError);
  assert.throws(() => runs.start(options({ name: 'run-2' }), '/f'), FailedPreconditionError);
  const [stopped, again] = await Promise.all([runs.stop('run-1'), runs.stop('run-1')]);
  assert.equal(stopped.state, 'stopped');
  assert.deepEqual(again, stopped);
  assert.equal(stopped.checkpoints.at(-1)?.step, 8);
  await assert.rejects(runs.stop('run-1'), FailedPreconditionError);
  await assert.rejects(runs.stop('nobody'), NotFoundError);
  runs.start(options({ name: 'run-2' }), '/f');
  assert.deepEqual(
    runs.list().map(({ name }) => name),
    ['run-2', 'run-1'],
  );
  await runs.close();
});

test('closing stops and saves the run and refuses another', async () => {
  const runs = await open(newFolder(), untilStopped);
  runs.start(options(), '/f');
  await runs.close();
  assert.equal(runs.get('run-1').state, 'stopped');
  assert.throws(() => runs.start(options(), '/f'), UnavailableError);
});

test('a failure is told by its kind; a defect keeps its text to the log', async () => {
  const failing =
    (error: Error): LaunchTraining =>
    async () => {
      throw error;
    };
  for (const [error, failure] of [
    [
      new InvalidInputError('no such thing', { place: 'lr' }),
      { kind: 'invalid-input', message: 'lr: no such thing' },
    ],
    [new TypeError('secret'), { kind: 'internal', message: "an internal error; the service's log has it" }],
  ] as const) {
    const runs = await open(newFolder(), failing(error));
    runs.start(options(), '/f');
    for await (const _ of runs.watch('run-1', never));
    assert.equal(runs.get('run-1').state, 'failed');
    assert.deepEqual(runs.get('run-1').failure, failure);
  }
});

test('records outlive the service; a run that was going on is interrupted and can be started again', async () => {
  const folder = newFolder();
  const first = await open(folder, untilStopped);
  first.start(options({ name: '运行 七' }), '/f');
  const updates = first.watch('运行 七', never);
  for await (const update of updates) if (update.kind === 'record' && update.record.totalSteps === 100) break;
  await setTimeout(50);
  writeFileSync(join(folder, 'damaged.json'), '{');

  const second = await open(folder, untilStopped);
  assert.equal(second.list().length, 1);
  const [record] = second.list();
  assert.equal(record?.state, 'interrupted');
  assert.equal(record?.totalSteps, 100);
  second.start(options({ name: record?.name }), '/f');
  await second.close();
  const third = await open(folder, untilStopped);
  assert.equal(third.list()[0]?.state, 'stopped');
  assert.equal(third.list()[0]?.checkpoints.length, 1);
  assert.ok(readFileSync(join(folder, '运行 七.json'), 'utf8').endsWith('}\n'));
  await first.close();
});

test('what happened in a run outlives the service', async () => {
  const folder = newFolder();
  const launch: LaunchTraining = async (_, { onEvent }) => {
    for (const step of [1, 2, 3]) onEvent(stepEvent(step));
    onEvent(validationEvent(3));
    return { outcome: 'completed', step: 3, epoch: 1 };
  };
  const first = await open(folder, launch, { journal: new RunJournal(folder) });
  first.start(options(), '/f');
  for await (const _ of first.watch('run-1', never));
  await first.close();
  const second = await open(folder, launch, { journal: new RunJournal(folder) });
  const told = (await second.history('run-1', 100)).map(({ kind, at }) => [kind, at > 0]);
  assert.deepEqual(told, [...['step', 'step', 'step'].map((kind) => [kind, true]), ['validation', true]]);
  await assert.rejects(second.history('nobody', 100), NotFoundError);
  await second.close();
});

const adaptation = {
  name: 'online-1',
  folder: '/data/experiments/online-1',
  options: adaptOptions(),
  serve: true,
};

async function adapted(given: Partial<RunsOptions>) {
  const runs = await open(newFolder(), untilStopped, given);
  runs.startAdaptation(adaptation);
  for await (const update of runs.watch('online-1', never))
    if (update.kind === 'record' && update.record.endedAt !== undefined) return update.record;
  throw new Error('the run has not ended');
}

test('what an adaptation made is served once it has passed, and the record says so', async () => {
  const served: string[] = [];
  const record = await adapted({
    launchAdaptation: async () => ({
      outcome: 'completed',
      step: 4,
      epoch: 2,
      checkpoint: '/data/x.pt',
      online: onlineSummary(),
    }),
    serve: async (checkpoint) => void served.push(checkpoint),
  });
  assert.deepEqual(served, ['/data/x.pt']);
  assert.equal(record.state, 'completed');
  assert.equal(record.servedCheckpoint, '/data/x.pt');
  assert.equal(record.online?.pairs, onlineSummary().pairs);
});

test('one that the gate rejects is not served', async () => {
  const record = await adapted({
    launchAdaptation: async () => ({ outcome: 'rejected', step: 4, epoch: 2, online: onlineSummary() }),
  });
  assert.equal(record.state, 'completed');
  assert.equal(record.servedCheckpoint, undefined);
});

test('an encoder that does not take the checkpoint fails the run, which keeps its report', async () => {
  const record = await adapted({
    launchAdaptation: async () => ({
      outcome: 'completed',
      step: 4,
      epoch: 2,
      checkpoint: '/data/x.pt',
      online: onlineSummary(),
    }),
    serve: () => Promise.reject(new UnavailableError('no connection')),
  });
  assert.equal(record.state, 'failed');
  assert.match(record.failure?.message ?? '', /no connection/);
  assert.equal(record.online?.pairs, onlineSummary().pairs);
});

test('a training run and an adaptation do not share a name', async () => {
  const runs = await open(newFolder(), async () => ({ outcome: 'completed', step: 1, epoch: 1 }));
  runs.start(options({ name: 'online-1' }), '/data/experiments/online-1');
  for await (const _ of runs.watch('online-1', never));
  assert.throws(() => runs.startAdaptation(adaptation), AlreadyExistsError);
});

test('a clock that is set back does not make an earlier run the latest', async (context) => {
  const runs = await open(newFolder(), async () => ({ outcome: 'completed', step: 1, epoch: 1 }));
  context.mock.timers.enable({ apis: ['Date'], now: 2_000_000 });
  for (const name of ['first', 'second']) {
    runs.start(options({ name }), '/data/experiments/x');
    for await (const _ of runs.watch(name, never));
    context.mock.timers.setTime(1_000_000);
  }
  assert.deepEqual(
    runs.list().map(({ name }) => name),
    ['second', 'first'],
  );
});
