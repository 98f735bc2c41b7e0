// The service as a process of its own: a real data set, a real model of the smallest preset, real signals.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readCheckpoint } from '@online-cnclip/checkpoint';
import { createTrainerClient, type TrainerClient } from '@online-cnclip/client';
import {
  AdaptationOptions,
  Augmentation,
  BuildDatasetRequest,
  ListRunsRequest,
  Optimizer,
  RunOptions,
  RunState,
  type WatchRunResponse,
} from '@online-cnclip/contracts/trainer/v1';
import {
  AlreadyExistsError,
  DataLossError,
  FailedPreconditionError,
  InvalidInputError,
  lockFolder,
  NotFoundError,
} from '@online-cnclip/foundation';
import { checkHealth } from './testing.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const goldens = fileURLToPath(new URL('../../../test/goldens/dataset', import.meta.url));
const PAIRS: unknown[] = JSON.parse(readFileSync(join(goldens, 'pairs.json'), 'utf8'));
const SPLIT = 'valid';
const LMDB = `datasets/golden/lmdb/${SPLIT}`;
const BATCH = 4;
const STEPS_PER_EPOCH = Math.ceil(PAIRS.length / BATCH);
/** More steps than a test waits for. */
const MANY_STEPS = 100_000n;

const folder = mkdtempSync(join(tmpdir(), 'trainer-main-'));
before(async () => {
  const dataset = join(folder, 'datasets/golden');
  await mkdir(dataset, { recursive: true });
  for (const file of [`${SPLIT}_imgs.tsv`, `${SPLIT}_texts.jsonl`])
    cpSync(join(goldens, file), join(dataset, file));
});
after(() => rm(folder, { recursive: true }));

interface Process {
  readonly child: ChildProcess;
  readonly client: TrainerClient;
  readonly address: string;
}

async function start(context: TestContext): Promise<Process> {
  const flags = {
    'data-folder': folder,
    'listen-address': '127.0.0.1:0',
    'metrics-address': 'off',
    threads: '1',
  };
  const child = spawn(
    process.execPath,
    [MAIN, ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  context.after(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { address } = JSON.parse(line);
  const client = createTrainerClient(address);
  context.after(() => client.close());
  return { child, client, address };
}

const runOptions = (given: Partial<RunOptions>) =>
  RunOptions.fromPartial({
    trainData: LMDB,
    batchSize: BATCH,
    validBatchSize: BATCH,
    contextLength: 12,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
    optimizer: Optimizer.OPTIMIZER_ADAMW,
    augmentation: Augmentation.AUGMENTATION_BASIC,
    numWorkers: 1,
    logInterval: 1,
    warmup: 2n,
    saveEpochFrequency: 0,
    ...given,
  });

async function untilStep(client: TrainerClient, name: string, steps: bigint): Promise<void> {
  for await (const { event } of client.watchRun({ name }))
    if (event?.$case === 'step' && event.value.step >= steps) return;
}

async function collect(responses: AsyncIterable<WatchRunResponse>): Promise<WatchRunResponse['event'][]> {
  const events: WatchRunResponse['event'][] = [];
  for await (const { event } of responses) events.push(event);
  return events;
}

test('builds a data set, trains on it and tells of it', async (t) => {
  const { client, address } = await start(t);
  while ((await checkHealth(address)) !== 'SERVING') await setTimeout(50);

  const request = BuildDatasetRequest.fromPartial({ dataDir: 'datasets/golden', splits: [SPLIT] });
  const kinds: (string | undefined)[] = [];
  for await (const { event } of client.buildDataset(request)) {
    kinds.push(event?.$case);
    if (event?.$case === 'split') {
      assert.equal(event.value.lmdbPath, LMDB);
      assert.equal(event.value.pairs, BigInt(PAIRS.length));
    }
  }
  assert.ok(kinds.includes('progress'));
  assert.equal(kinds.at(-1), 'split');

  const options = runOptions({ name: 'first', valData: LMDB, maxEpochs: 2, reportTrainingBatchAcc: true });
  const { run: started } = await client.startRun({ options });
  assert.equal(started?.state, RunState.RUN_STATE_STARTING);
  assert.equal(started?.options?.lr, 5e-4);
  assert.equal(started?.options?.trainData, LMDB);
  await assert.rejects(client.startRun({ options }), AlreadyExistsError);
  await assert.rejects(client.startRun({ options: { ...options, name: 'other' } }), FailedPreconditionError);

  const [events, others] = await Promise.all([
    collect(client.watchRun({ name: 'first' })),
    collect(client.watchRun({ name: 'first' })),
  ]);
  assert.equal(others.length, events.length);
  const total = 2 * STEPS_PER_EPOCH;
  const of = (kind: string) => events.filter((event) => event?.$case === kind);
  assert.equal(of('validation').length, 2);
  const last = events.at(-1);
  assert.ok(last?.$case === 'run');
  const { state, step, latestStep, latestValidation, latestCheckpoint, error } = last.value;
  assert.deepEqual([state, step, error], [RunState.RUN_STATE_COMPLETED, BigInt(total), undefined]);
  assert.ok(latestStep && latestStep.loss > 0 && latestStep.imageToTextAccuracy !== undefined);
  assert.ok(latestStep.pairsPerSecond > 0 && latestStep.etaSeconds === 0);
  const { recall } = latestValidation ?? {};
  assert.ok(recall && recall.recallAt10 >= recall.recallAt1 && recall.gallery > 0n);
  assert.equal(latestCheckpoint?.path, 'experiments/first/checkpoints/epoch_latest.pt');

  const { checkpoints } = await client.listCheckpoints({ name: 'first' });
  assert.deepEqual(checkpoints.map(({ path }) => path.split('/').at(-1)).sort(), [
    'epoch2.pt',
    'epoch_latest.pt',
  ]);
  assert.ok(
    checkpoints.every(({ step, bytes, epoch }) => step === BigInt(total) && bytes > 0n && epoch === 2),
  );
});

test('stops and saves when asked, and by SIGTERM; goes on where it was after SIGKILL of both', async (t) => {
  const { client, child } = await start(t);
  const options = runOptions({ name: 'long', maxSteps: MANY_STEPS });
  await client.startRun({ options });
  await untilStep(client, 'long', 2n);
  const { run } = await client.stopRun({ name: 'long' });
  assert.equal(run?.state, RunState.RUN_STATE_STOPPED);
  assert.equal(run?.latestCheckpoint?.step, run?.step);
  assert.ok(run && run.step >= 2n);
  await assert.rejects(client.stopRun({ name: 'long' }), FailedPreconditionError);

  await client.startRun({ options });
  await untilStep(client, 'long', run.step + 2n);
  const ended = once(child, 'exit');
  let final: WatchRunResponse['event'];
  for await (const { event } of client.watchRun({ name: 'long' })) {
    if (!final) child.kill('SIGTERM');
    final = event;
  }
  assert.deepEqual(await ended, [0, null]);
  assert.ok(final?.$case === 'run' && final.value.state === RunState.RUN_STATE_STOPPED);
  const latest = join(folder, 'experiments/long/checkpoints/epoch_latest.pt');
  const saved = await readCheckpoint(latest, { skipOptimizer: true });
  assert.equal(BigInt(saved.step ?? 0), final.value.step);

  const second = await start(t);
  const { runs } = await second.client.listRuns(ListRunsRequest.fromPartial({}));
  assert.deepEqual(
    runs.map(({ name, state }) => [name, state]),
    [
      ['long', RunState.RUN_STATE_STOPPED],
      ['first', RunState.RUN_STATE_COMPLETED],
    ],
  );
  await second.client.startRun({ options });
  const restarted = BigInt(saved.step ?? 0) + 2n;
  await untilStep(second.client, 'long', restarted);
  second.child.kill('SIGKILL');
  await once(second.child, 'exit');

  const third = await start(t);
  const { run: interrupted } = await third.client.getRun({ name: 'long' });
  assert.equal(interrupted?.state, RunState.RUN_STATE_INTERRUPTED);
  await third.client.startRun({ options });
  await untilStep(third.client, 'long', restarted);
  await third.client.stopRun({ name: 'long' });
});

test('refuses what cannot work, by name', async (t) => {
  const { client } = await start(t);
  const startRun = (given: Partial<RunOptions>) => client.startRun({ options: runOptions(given) });
  for (const [given, message] of [
    [{ trainData: '/etc' }, /train-data: "\/etc" must be relative/],
    [{ trainData: '' }, /train-data: is required/],
    [{ resume: '../outside.pt' }, /resume: .*leads out of the data folder/],
    [{ batchSize: -1 }, /batch-size: -1/],
    [{ name: 'a/b' }, /name: "a\/b"/],
    [{ precision: 7 as never }, /precision: /],
    [{ useAugment: true, augmentation: Augmentation.AUGMENTATION_NONE }, /augmentation: "none" contradicts/],
  ] as const)
    await assert.rejects(
      startRun(given),
      (error) => error instanceof InvalidInputError && message.test(error.message),
    );
  await assert.rejects(client.getRun({ name: 'nobody' }), NotFoundError);
  await assert.rejects(collect(client.watchRun({ name: 'nobody' })), NotFoundError);
  const lost = BuildDatasetRequest.fromPartial({ dataDir: 'nowhere', splits: ['train'] });
  await assert.rejects(Array.fromAsync(client.buildDataset(lost)), NotFoundError);

  await assert.rejects(startRun({ visionModel: 'ViT-XXL' }), /vision-model: "ViT-XXL" is unknown/);
  await assert.rejects(startRun({ trainData: 'datasets/nowhere' }), NotFoundError);

  // The run would open its files only after the answer: what is wrong with them is said at the call.
  await assert.rejects(
    startRun({ trainData: 'datasets/golden' }),
    (error) => error instanceof NotFoundError && /imgs/.test(error.message),
  );
  await writeFile(join(folder, 'damaged.pt'), 'PK\x03\x04');
  await assert.rejects(startRun({ trainData: LMDB, resume: 'damaged.pt' }), DataLossError);
  assert.deepEqual((await client.listRuns(ListRunsRequest.fromPartial({}))).runs.filter(isFailed), []);
});

const isFailed = ({ state }: { readonly state: RunState }): boolean => state === RunState.RUN_STATE_FAILED;

test("a run's folder that another process trains in is refused at the call", async (t) => {
  const { client } = await start(t);
  const taken = join(folder, 'experiments/taken');
  await mkdir(taken, { recursive: true });
  const unlock = await lockFolder(taken);
  await assert.rejects(
    client.startRun({ options: runOptions({ name: 'taken' }) }),
    (error) =>
      error instanceof FailedPreconditionError && error.message.includes(`process ${process.pid} on`),
  );
  await unlock();
  await client.startRun({ options: runOptions({ name: 'taken', maxSteps: 1n }) });
  await collect(client.watchRun({ name: 'taken' }));
});

test('adapts to queries on cached images, as a run like others', async (t) => {
  const { client } = await start(t);
  await client.startRun({ options: runOptions({ name: 'before', maxSteps: 2n }) });
  await collect(client.watchRun({ name: 'before' }));
  const images = join(folder, 'cache/test/红色');
  await mkdir(images, { recursive: true });
  const picture = fileURLToPath(
    new URL('../../../test/goldens/preprocessing/exact-224.png', import.meta.url),
  );
  cpSync(picture, join(images, '1.jpg'));
  await writeFile(
    join(folder, 'test_texts.jsonl'),
    '{"text_id": 1, "text": "红 色", "image_ids": []}\n{"text_id": 2, "text": "蓝色", "image_ids": []}\n',
  );
  const options = AdaptationOptions.fromPartial({
    name: 'online',
    model: 'experiments/before/checkpoints/epoch_latest.pt',
    queries: 'test_texts.jsonl',
    maxEpochs: 1,
    contextLength: 12,
    batchSize: BATCH,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
    gateData: LMDB,
    gateMaxDrop: '100',
    trainData: LMDB,
    replayRatio: 1,
    onlineCache: true,
    numWorkers: 0,
  });
  await assert.rejects(client.startAdaptation({ options: { ...options, maxEpochs: 0 } }), InvalidInputError);
  await assert.rejects(
    client.startAdaptation({ options: { ...options, onlineCache: false } }),
    /crawler-address/,
  );
  await assert.rejects(client.startAdaptation({ options: { ...options, serve: true } }), /encoder-address/);
  await assert.rejects(client.rollBackModel({}), /encoder-address/);
  const { run } = await client.startAdaptation({ options });
  assert.equal(run?.adaptation?.maxEpochs, 1);
  const events = await collect(client.watchRun({ name: 'online' }));
  const step = events.flatMap((event) => (event?.$case === 'onlineStep' ? [event.value] : []));
  assert.equal(step.length, 1);
  assert.deepEqual(
    [step[0]?.queries, step[0]?.pairs, step[0]?.replayed, step[0]?.leftOut],
    [2, 1, 1, { 'not-crawled': 1n }],
  );
  const { run: ended } = await client.getRun({ name: 'online' });
  assert.equal(ended?.state, RunState.RUN_STATE_COMPLETED);
  assert.equal(ended?.gate?.passed, true);
  assert.equal(ended?.online?.transductive, true);
  assert.equal(ended?.servedCheckpoint, '');
  const { checkpoints } = await client.listCheckpoints({ name: 'online' });
  assert.deepEqual(
    checkpoints.map(({ path }) => path),
    ['experiments/online/checkpoints/epoch1_online_1.pt'],
  );
});
