import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createTrainerClient, type TrainerClient } from '@online-cnclip/client';
import { skipWithoutGloo } from '@online-cnclip/collectives/testing';
import { RunOptions, RunState, type StepReport } from '@online-cnclip/contracts/trainer/v1';
import { FailedPreconditionError } from '@online-cnclip/foundation';
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

test('one StartRun has every replica train; a loss is mended; StopRun stops all and saves once', {
  skip,
}, async () => {
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const folders = [newFolder(), newFolder()] as const;
  for (const folder of folders) {
    mkdirSync(join(folder, 'datasets'));
    cpSync(DATA, join(folder, 'datasets/lmdb'), { recursive: true });
  }
  const leader = await startTrainer(0, port, folders[0]);
  const follower = await startTrainer(1, port, folders[1]);
  const options = RunOptions.fromPartial({
    trainData: 'datasets/lmdb/valid',
    name: 'together',
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
