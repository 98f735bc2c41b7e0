import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCheckpoint } from '@online-cnclip/checkpoint';
import { FailedPreconditionError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import type { Runtime } from '@online-cnclip/runtime';
import type { TrainingEvent } from './events.ts';
import { parseTrainingOptions } from './options.ts';
import { fakeRecall, fakeTraining, type RecordedStep, TRAINED } from './testing/fake-training.ts';
import { train } from './train.ts';

const goldens = fileURLToPath(new URL('../../../../test/goldens/dataset', import.meta.url));
const PAIRS: unknown[] = JSON.parse(readFileSync(join(goldens, 'pairs.json'), 'utf8'));
const data = join(goldens, 'lmdb/valid');
const BATCH = 4;
const STEPS_PER_EPOCH = Math.ceil(PAIRS.length / BATCH);

const NO_FILES = { logs: 'None' };

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'train-'));
  folders.push(folder);
  return folder;
}

/** The fake step needs no runtime. */
const runtime: Runtime = {
  name: 'onnxruntime',
  prepare: () => Promise.reject(new Error('the fake step prepares nothing')),
  dispose: async () => {},
};

interface Run {
  readonly given?: Record<string, unknown>;
  readonly logs?: string;
  readonly recallDelayMs?: number;
  readonly onEvent?: (event: TrainingEvent, stop: AbortController) => void;
}

async function run({ given = {}, logs = newFolder(), recallDelayMs = 0, onEvent }: Run = {}) {
  const fake = fakeTraining();
  const recall = fakeRecall(recallDelayMs);
  const stop = new AbortController();
  const events: TrainingEvent[] = [];
  const options = parseTrainingOptions({
    trainData: data,
    logs,
    name: 'run',
    batchSize: BATCH,
    validBatchSize: 3,
    maxEpochs: 3,
    numWorkers: 1,
    contextLength: 12,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
    warmup: 2,
    logInterval: 1,
    saveEpochFrequency: 0,
    ...given,
  });
  const result = await train(
    options,
    { runtime, createTrainStep: fake.createTrainStep, recall },
    {
      signal: stop.signal,
      onEvent: (event) => {
        events.push(event);
        onEvent?.(event, stop);
      },
    },
  );
  const folder = join(logs, 'run');
  return { result, events, fake, recall, folder, logs };
}

const kinds = (events: readonly TrainingEvent[], kind: TrainingEvent['kind']) =>
  events.filter((event) => event.kind === kind);
const checkpointsOf = (folder: string) => readdirSync(join(folder, 'checkpoints')).sort();
const batchesOf = (steps: readonly RecordedStep[]) => steps.map(({ batch }) => batch);

test('trains every epoch to its end, with its files', async () => {
  const { result, events, fake, folder } = await run({ given: { saveEpochFrequency: 2 } });
  const total = 3 * STEPS_PER_EPOCH;
  assert.equal(result.outcome, 'completed');
  assert.deepEqual([result.step, result.epoch], [total, 3]);
  assert.equal(fake.steps.length, total);
  assert.deepEqual(fake.steps[0]?.images, [BATCH, 3, 48, 48]);
  assert.deepEqual(fake.steps[0]?.inputIds, [BATCH, 12]);
  assert.equal(kinds(events, 'step').length, total);
  assert.deepEqual(checkpointsOf(folder), ['epoch2.pt', 'epoch3.pt', 'epoch_latest.pt']);
  const files = readdirSync(folder);
  assert.equal(files.filter((file) => /^params_\d{4}(-\d\d){5}\.txt$/.test(file)).length, 1);
  const [log] = files.filter((file) => /^out_\d{4}(-\d\d){5}\.log$/.test(file));
  const lines = readFileSync(join(folder, log ?? ''), 'utf8').split('\n');
  assert.equal(lines.filter((line) => / \| INFO \| Rank 0 \| Global Steps: \d+\//.test(line)).length, total);
  assert.equal(lines.filter((line) => line.endsWith(' | INFO | Rank 0 |   batch_size: 4')).length, 1);

  const latest = await readCheckpoint(join(folder, 'checkpoints/epoch_latest.pt'));
  assert.deepEqual([latest.epoch, latest.step, latest.name], [3, total, 'run']);
  assert.equal(latest.optimizer?.kind, 'lamb');
  assert.equal(latest.optimizer?.step, total);
  assert.deepEqual(latest.extra, {
    seed: 123,
    batchSize: BATCH,
    pairs: PAIRS.length,
    batchesInEpoch: STEPS_PER_EPOCH,
  });
  const inode = (name: string) => statSync(join(folder, 'checkpoints', name)).ino;
  assert.equal(inode('epoch3.pt'), inode('epoch_latest.pt'), 'an epoch is kept without a second write');
});

test('a stopped run saves, and goes on with the same batches and the same state', async () => {
  const whole = await run();
  const logs = newFolder();
  const stopAt = STEPS_PER_EPOCH + 1;
  const first = await run({
    logs,
    onEvent: (event, stop) => event.kind === 'step' && event.step === stopAt && stop.abort(),
  });
  assert.deepEqual([first.result.outcome, first.result.step, first.result.epoch], ['stopped', stopAt, 2]);
  assert.ok(first.result.checkpoint?.endsWith('epoch_latest.pt'));
  const second = await run({ logs });
  assert.equal(second.result.outcome, 'completed');
  assert.deepEqual([...first.fake.steps, ...second.fake.steps], whole.fake.steps);
  const [started] = kinds(second.events, 'started');
  assert.ok(started?.kind === 'started' && started.startStep === stopAt && started.resumedFrom);
  const state = async (folder: string) => {
    const { parameters, optimizer } = await readCheckpoint(join(folder, 'checkpoints/epoch_latest.pt'));
    return [parameters.get(TRAINED)?.data, optimizer?.expAvg.get(TRAINED)?.data, optimizer?.step];
  };
  assert.deepEqual(await state(second.folder), await state(whole.folder));

  const third = await run({ logs });
  assert.deepEqual([third.result.outcome, third.fake.steps.length], ['completed', 0]);
});

test('stopping at the end of an epoch keeps its checkpoint, and stopping leaves a validation out', async () => {
  const given = { saveEpochFrequency: 1, valData: data, validStepInterval: 1 };
  const { result, events, folder } = await run({
    given,
    onEvent: (event, stop) => event.kind === 'step' && event.step === STEPS_PER_EPOCH && stop.abort(),
  });
  assert.deepEqual([result.outcome, result.step], ['stopped', STEPS_PER_EPOCH]);
  assert.deepEqual(checkpointsOf(folder), ['epoch1.pt', 'epoch_latest.pt']);
  assert.equal(kinds(events, 'validation').length, STEPS_PER_EPOCH - 1);
});

test('the time of a validation is not counted as waiting for data', async () => {
  const delayMs = 500;
  const given = { ...NO_FILES, maxSteps: 2, valData: data, validStepInterval: 1 };
  const { events } = await run({ given, recallDelayMs: delayMs });
  const [, second] = events.filter((event) => event.kind === 'step');
  assert.ok(second && second.stepSeconds < delayMs / 1000, `${second?.stepSeconds} s`);
});

test('max-steps ends in the middle of an epoch and decides over max-epochs; the last checkpoint is kept', async () => {
  const maxSteps = STEPS_PER_EPOCH + 1;
  const { result, folder, fake } = await run({ given: { maxSteps } });
  assert.deepEqual([result.outcome, result.step, result.epoch], ['completed', maxSteps, 2]);
  assert.equal(fake.steps.length, maxSteps);
  assert.deepEqual(checkpointsOf(folder), ['epoch2.pt', 'epoch_latest.pt']);
});

test('save-step-frequency keeps checkpoints of steps', async () => {
  const { folder, events } = await run({ given: { maxSteps: 4, saveStepFrequency: 2 } });
  const epochs = [2, 4].map((step) => `epoch_${Math.ceil(step / STEPS_PER_EPOCH)}_${step}.pt`);
  assert.deepEqual(
    checkpointsOf(folder).filter((name) => /^epoch_\d/.test(name)),
    epochs,
  );
  assert.ok(kinds(events, 'checkpoint').length >= 4);
});

test('the learning rate follows the schedule, or stays with skip-scheduler', async () => {
  const rates = async (given: Record<string, unknown>) =>
    (await run({ given: { ...NO_FILES, maxSteps: 4, lr: 0.1, ...given } })).fake.steps.map(
      ({ learningRate }) => learningRate,
    );
  const [first, second, third, fourth] = await rates({ warmup: 2 });
  assert.deepEqual([first, second, third], [0.05, 0.1, 0.1]);
  assert.ok(fourth !== undefined && fourth < 0.1 && fourth > 0);
  assert.deepEqual(await rates({ skipScheduler: true }), [0.1, 0.1, 0.1, 0.1]);
});

test('log-interval and report-training-batch-acc shape the reports', async () => {
  const { events } = await run({
    given: { ...NO_FILES, maxSteps: 5, logInterval: 2, reportTrainingBatchAcc: true },
  });
  const steps = events.filter((event) => event.kind === 'step');
  assert.deepEqual(
    steps.map(({ step }) => step),
    [2, 4, 5],
  );
  assert.equal(steps[0]?.imageToTextAccuracy, 0.5);
  assert.ok((steps[0]?.pairsPerSecond ?? 0) > 0);
  const plain = await run({ given: { ...NO_FILES, maxSteps: 1 } });
  assert.ok(plain.events.every((event) => event.kind !== 'step' || !('imageToTextAccuracy' in event)));
});

test('the step is made with the options that concern it', async () => {
  const given = { optimizer: 'adamw', wd: 0.3, beta1: 0.8, beta2: 0.7, eps: 0.1, loss: 'clip', seed: 5 };
  const { fake } = await run({ given: { ...given, ...NO_FILES, freezeVision: true, maxSteps: 1 } });
  const [made] = fake.created;
  assert.deepEqual(made?.optimizer, { kind: 'adamw', weightDecay: 0.3, beta1: 0.8, beta2: 0.7, eps: 0.1 });
  assert.deepEqual(
    [made?.loss, made?.freezeVision, made?.seed, made?.batchSize, made?.contextLength],
    ['clip', true, 5, BATCH, 12],
  );
  const lamb = await run({ given: { ...NO_FILES, maxSteps: 1 } });
  assert.equal(lamb.fake.created[0]?.optimizer.maxGradientNorm, 1);
});

test('seed decides over weights and order; augmentation changes pixels and not the order', async () => {
  const one = async (given: Record<string, unknown>) => {
    const { fake } = await run({ given: { ...NO_FILES, maxSteps: 2, ...given } });
    return { weights: fake.created[0]?.parameters.get(TRAINED)?.data, batches: batchesOf(fake.steps) };
  };
  const [a, same, other, augmented] = [
    await one({}),
    await one({}),
    await one({ seed: 9 }),
    await one({ useAugment: true }),
  ];
  assert.deepEqual(a, same);
  assert.notDeepEqual(a.weights, other.weights);
  assert.notDeepEqual(a.batches, other.batches);
  assert.notDeepEqual(a.batches, augmented.batches);
  assert.deepEqual(a.weights, augmented.weights);
  assert.deepEqual((await one({ numWorkers: 0 })).batches, a.batches);
});

test('validation by steps and by epochs, with recall over the whole gallery', async () => {
  const given = { ...NO_FILES, valData: data, maxEpochs: 2, validStepInterval: STEPS_PER_EPOCH + 1 };
  const { events, recall } = await run({ given });
  const validations = events.filter((event) => event.kind === 'validation');
  assert.deepEqual(
    validations.map(({ step }) => step),
    [STEPS_PER_EPOCH, STEPS_PER_EPOCH + 1, 2 * STEPS_PER_EPOCH],
  );
  const [request] = recall.requests;
  const images = new Set(request?.galleryIds);
  assert.deepEqual(request?.galleryFeatures.shape[0], images.size);
  assert.equal(request?.queryFeatures.shape[0], request?.relevantIds.length);
  for (const ids of request?.relevantIds ?? [])
    assert.ok(ids.length > 0 && ids.every((id) => images.has(id)));
  const [first] = validations;
  assert.ok(first && first.loss > 0 && first.recall.meanRecall === 50);

  const never = await run({
    given: { ...NO_FILES, valData: data, maxEpochs: 1, validEpochInterval: 'None' },
  });
  assert.equal(kinds(never.events, 'validation').length, 0);
  const without = await run({ given: { ...NO_FILES, maxEpochs: 1, validStepInterval: 1 } });
  assert.equal(kinds(without.events, 'validation').length, 0);
});

test('resume from another run: with its optimizer and position, or without', async () => {
  const { folder } = await run({ given: { maxSteps: 2 } });
  const resume = join(folder, 'checkpoints/epoch_latest.pt');
  const steps = 3;
  const going = await run({ given: { resume, maxSteps: steps } });
  assert.equal(going.fake.steps.length, 1);
  const again = await run({ given: { resume, maxSteps: steps, resetDataOffset: true } });
  assert.equal(again.fake.steps.length, steps);
  const optimizerSteps = async (given: Record<string, unknown>) => {
    const { folder } = await run({ given: { resume, maxSteps: steps, ...given } });
    return (await readCheckpoint(join(folder, 'checkpoints/epoch_latest.pt'))).optimizer?.step;
  };
  assert.equal(await optimizerSteps({}), steps);
  assert.equal(await optimizerSteps({ resetOptimizer: true }), 1);
  const weights = again.fake.created[0]?.parameters.get(TRAINED)?.data;
  assert.deepEqual(weights, (await readCheckpoint(resume)).parameters.get(TRAINED)?.data);

  await assert.rejects(
    run({ given: { resume, batchSize: 1, maxSteps: steps, optimizer: 'adamw' } }),
    (error) => error instanceof FailedPreconditionError && /reset-optimizer/.test(error.message),
  );
});

test('a position that is none of this data set is refused', async () => {
  const { folder } = await run({ given: { maxEpochs: 2 } });
  const resume = join(folder, 'checkpoints/epoch_latest.pt');
  await assert.rejects(
    run({ given: { resume, batchSize: 1 } }),
    (error) => error instanceof FailedPreconditionError && /reset-data-offset/.test(error.message),
  );
});

test('pretrained weights initialise their tower only', async () => {
  const { folder, fake } = await run({ given: { maxSteps: 1, seed: 1 } });
  const path = join(folder, 'checkpoints/epoch_latest.pt');
  const pretrained = fake.created[0]?.parameters;
  const startOf = async (given: Record<string, unknown>) => {
    const { fake } = await run({ given: { ...NO_FILES, maxSteps: 1, seed: 2, ...given } });
    return fake.created[0]?.parameters;
  };
  const image = 'visual.conv1.weight';
  const text = 'bert.embeddings.word_embeddings.weight';
  const clip = await startOf({ clipWeightPath: path });
  assert.deepEqual(clip?.get(image)?.data, pretrained?.get(image)?.data);
  assert.notDeepEqual(clip?.get(text)?.data, pretrained?.get(text)?.data);
  const bert = await startOf({ bertWeightPath: path });
  assert.notDeepEqual(bert?.get(image)?.data, pretrained?.get(image)?.data);
  assert.deepEqual(bert?.get(text)?.data, pretrained?.get(text)?.data);
});

test('without logs nothing is written', async () => {
  const logs = newFolder();
  const { result } = await run({ logs, given: { logs: 'None', maxSteps: 1 } });
  assert.equal(result.checkpoint, undefined);
  assert.deepEqual(readdirSync(logs), []);
});

test('debug adds lines to the log', async () => {
  const levels = async (given: Record<string, unknown>) => {
    const { events } = await run({ given: { ...NO_FILES, maxSteps: 1, ...given } });
    return new Set(events.flatMap((event) => (event.kind === 'log' ? [event.level] : [])));
  };
  assert.ok(!(await levels({})).has('DEBUG'));
  assert.ok((await levels({ debug: true })).has('DEBUG'));
});

for (const [given, ErrorClass, message] of [
  [{ trainData: join(goldens, 'nowhere') }, NotFoundError, /^train-data: .*nowhere/],
  [{ resume: join(goldens, 'no.pt') }, NotFoundError, /^resume: there is no /],
  [{ clipWeightPath: 'no.pt' }, NotFoundError, /^clip-weight-path: /],
  [{ visionModel: 'ViT-XXL' }, InvalidInputError, /vision-model: "ViT-XXL" is unknown/],
] as const)
  test(`refused: ${Object.keys(given)[0]}`, async () => {
    await assert.rejects(
      run({ given }),
      (error) => error instanceof ErrorClass && message.test(error.message),
    );
  });
