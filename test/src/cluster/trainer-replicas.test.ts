import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createTrainerClient, type TrainerClient } from '@online-cnclip/client';
import { skipWithoutGloo } from '@online-cnclip/collectives/testing';
import { RunOptions, RunState, type StepReport } from '@online-cnclip/contracts/trainer/v1';
import { FailedPreconditionError, UnavailableError } from '@online-cnclip/foundation';
import { childrenOf, newFolder } from './launched-run.ts';

const skip = skipWithoutGloo();
const MAIN = fileURLToPath(new URL('../../../services/trainer/src/main.ts', import.meta.url));
const DATA = fileURLToPath(new URL('../../goldens/dataset/lmdb', import.meta.url));

interface Trainer {
  readonly child: ChildProcess;
  readonly client: TrainerClient;
}

async function startTrainer(rank: number, port: number, dataFolder: string): Promise<Trainer> {
  const address = rank === 0 ? `127.0.0.1:${port}` : '127.0.0.1:0';
  const flags = ['--listen-address', address, '--metrics-address', 'off', '--data-folder', dataFolder];
  const child = spawn(process.execPath, [MAIN, ...flags, '--threads', '1', '--log-level', 'warn'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      RANK: String(rank),
      WORLD_SIZE: '2',
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: String(port),
      CNCLIP_GATHER_TIMEOUT: '120',
    },
  });
  after(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const client = createTrainerClient((JSON.parse(line) as { address: string }).address);
  after(() => client.close());
  return { child, client };
}

/** Trainers of one run; replica 0's, and a way to start it again. */
async function startTrainers() {
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const folders = [newFolder(), newFolder()] as const;
  for (const folder of folders) {
    mkdirSync(join(folder, 'datasets'));
    cpSync(DATA, join(folder, 'datasets/lmdb'), { recursive: true });
  }
  const startLeader = () => startTrainer(0, port, folders[0]);
  return { leader: await startLeader(), follower: await startTrainer(1, port, folders[1]), startLeader };
}

const endlessRun = (name: string) =>
  RunOptions.fromPartial({
    trainData: 'datasets/lmdb/valid',
    name,
    batchSize: 2,
    maxSteps: 100_000n,
    logInterval: 1,
    contextLength: 12,
    numWorkers: 0,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
    validEpochInterval: 0,
    saveEpochFrequency: 0,
  });

/** gRPC waits a while before it tries an address again that refused it; the trainer first looks whether it can train. */
async function untilResumed(client: TrainerClient, name: string): Promise<void> {
  for (; ; await setTimeout(200))
    try {
      const { run } = await client.getRun({ name });
      if (run?.state !== RunState.RUN_STATE_INTERRUPTED) return;
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
    }
}

/** The run's next steps, until one does. */
async function stepWhere(
  client: TrainerClient,
  name: string,
  isWanted: (step: number) => boolean,
): Promise<{ readonly first: number; readonly last: number }> {
  let first: number | undefined;
  for await (const { event } of client.watchRun({ name })) {
    if (event?.$case === 'run') assert.equal(event.value.error, undefined);
    if (event?.$case !== 'step') continue;
    const last = Number(event.value.step);
    first ??= last;
    if (isWanted(last)) return { first, last };
  }
  throw new Error('the run ended');
}

test('trainer 0 that is lost goes on with its run by itself, from where the other replica stands', {
  skip,
}, async () => {
  const { leader, follower, startLeader } = await startTrainers();
  await leader.client.startRun({ options: endlessRun('left') });
  const { last } = await stepWhere(leader.client, 'left', (step) => step >= 5);
  const processes = childrenOf(leader.child.pid as number);
  assert.ok(processes.length > 0);
  const gone = once(leader.child, 'exit');
  for (const pid of [leader.child.pid as number, ...processes]) process.kill(pid, 'SIGKILL');
  await gone;
  // It had saved nothing: what the other replica has is all there is.
  const back = await startLeader();
  await untilResumed(back.client, 'left');
  const later = await stepWhere(back.client, 'left', (step) => step >= last + 10);
  assert.ok(later.first >= last, `it goes on at step ${later.first}, having been at ${last}`);
  const { run } = await back.client.stopRun({ name: 'left' }, { timeoutMs: 120_000 });
  assert.equal(run?.state, RunState.RUN_STATE_STOPPED);
  assert.equal((await back.client.listCheckpoints({ name: 'left' })).checkpoints[0]?.step, run?.step);
  const ends = [back.child, follower.child].map((child) => once(child, 'exit'));
  for (const { child } of [back, follower]) child.kill('SIGTERM');
  for (const [code] of await Promise.all(ends)) assert.equal(code, 0);
});

test('one StartRun has every replica train; a loss is mended; StopRun stops all and saves once', {
  skip,
}, async () => {
  const { leader, follower } = await startTrainers();
  const options = endlessRun('together');
  await assert.rejects(
    follower.client.startRun({ options }),
    (error) =>
      error instanceof FailedPreconditionError && /this is replica 1 of 2: replica 0/.test(error.message),
  );
  await leader.client.startRun({ options });
  const steps: StepReport[] = [];
  let killedAt = 0;
  let end: RunState | undefined;
  for await (const { event } of leader.client.watchRun({ name: 'together' })) {
    if (event?.$case === 'run') end = event.value.state;
    if (event?.$case !== 'step') continue;
    steps.push(event.value);
    if (killedAt === 0 && event.value.step >= 3n) {
      killedAt = Number(event.value.step);
      for (const pid of childrenOf(follower.child.pid as number)) process.kill(pid, 'SIGKILL');
    }
    if (killedAt > 0 && event.value.step === BigInt(killedAt + 20))
      void leader.client.stopRun({ name: 'together' }, { timeoutMs: 120_000 });
  }
  assert.equal(end, RunState.RUN_STATE_STOPPED);
  assert.deepEqual(
    steps.at(-1)?.replicas.map(({ rank }) => rank),
    [0, 1],
  );
  assert.ok(
    steps.at(-1)?.replicas.every(({ pairsPerSecond, busySeconds }) => pairsPerSecond > 0 && busySeconds > 0),
  );
  const { checkpoints } = await leader.client.listCheckpoints({ name: 'together' });
  assert.equal(checkpoints[0]?.step, steps.at(-1)?.step);
  const ends = [leader.child, follower.child].map((child) => once(child, 'exit'));
  leader.child.kill('SIGTERM');
  follower.child.kill('SIGTERM');
  for (const [code] of await Promise.all(ends)) assert.equal(code, 0);
});
