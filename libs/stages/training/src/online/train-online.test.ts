import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCheckpoint } from '@online-cnclip/checkpoint';
import { InvalidInputError } from '@online-cnclip/foundation';
import { normalizeQuery } from '@online-cnclip/image-cache';
import type { Runtime } from '@online-cnclip/runtime';
import type { TrainingEvent } from '../events.ts';
import { parseTrainingOptions } from '../options.ts';
import { fakeRecall, fakeTraining, TRAINED } from '../testing/fake-training.ts';
import { train } from '../train.ts';
import type { ImageSource } from './image-source.ts';

const goldens = fileURLToPath(new URL('../../../../../test/goldens', import.meta.url));
const data = join(goldens, 'dataset/lmdb/valid');
const PAIRS: readonly (readonly [imageId: number, textId: number, text: string])[] = JSON.parse(
  readFileSync(join(goldens, 'dataset/pairs.json'), 'utf8'),
);
const PICTURE = readFileSync(join(goldens, 'preprocessing/exact-224.png'));
const BATCH = 4;
const VALID_BATCH = 3;
const STEPS_PER_EPOCH = Math.ceil(PAIRS.length / BATCH);
const VALID_BATCHES = Math.ceil(PAIRS.length / VALID_BATCH);

const root = mkdtempSync(join(tmpdir(), 'train-online-'));
after(() => rm(root, { recursive: true }));

const runtime: Runtime = {
  name: 'onnxruntime',
  prepare: () => Promise.reject(new Error('the fake step prepares nothing')),
  dispose: async () => {},
};

/** A picture for each query. */
const everyImage = (asked: string[] = []): ImageSource => ({
  mode: 'crawl',
  async *images(queries) {
    for (const { text } of queries) {
      asked.push(text);
      yield { file: PICTURE, cached: false };
    }
  },
  close: async () => {},
});

async function run(
  name: string,
  given: Record<string, unknown> = {},
  source = everyImage(),
  onEvent: (event: TrainingEvent, stop: AbortController) => void = () => {},
) {
  const fake = fakeTraining();
  const stop = new AbortController();
  const events: TrainingEvent[] = [];
  const options = parseTrainingOptions({
    trainData: data,
    valData: data,
    logs: root,
    name,
    batchSize: BATCH,
    validBatchSize: VALID_BATCH,
    maxEpochs: 2,
    numWorkers: 0,
    contextLength: 12,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
    warmup: 2,
    logInterval: 1,
    saveEpochFrequency: 0,
    onlineLearning: true,
    crawlerAddress: '127.0.0.1:1',
    ...given,
  });
  const ports = {
    runtime,
    createTrainStep: fake.createTrainStep,
    recall: fakeRecall(),
    crawledImages: () => source,
  };
  const result = await train(options, ports, {
    signal: stop.signal,
    onEvent: (event) => {
      events.push(event);
      onEvent(event, stop);
    },
  });
  const checkpoint = await readCheckpoint(join(root, name, 'checkpoints/epoch_latest.pt'));
  return { result, events, fake, checkpoint };
}

const trained = ({ checkpoint }: Awaited<ReturnType<typeof run>>) => checkpoint.parameters.get(TRAINED)?.data;

test('each validation makes one step per batch; what is saved afterwards has them', async () => {
  const { fake, events, checkpoint } = await run('plain');
  assert.equal(fake.steps.length, 2 * (STEPS_PER_EPOCH + VALID_BATCHES));
  const validations = events.filter((event) => event.kind === 'validation');
  assert.equal(validations.length, 2);
  assert.equal(validations[0]?.online?.steps, VALID_BATCHES);
  assert.equal(validations[0]?.online?.pairs, VALID_BATCHES * VALID_BATCH);
  assert.equal(validations[0]?.online?.transductive, true);
  // Steps of the training are counted without, updates of the optimizer with them.
  assert.equal(checkpoint.step, 2 * STEPS_PER_EPOCH);
  assert.equal(checkpoint.optimizer?.step, fake.steps.length);
  assert.equal(checkpoint.extra?.['validationPending'], undefined);
});

test('the offline batches are those of a run without online learning', async () => {
  const online = await run('with');
  const offline = await run('without', { onlineLearning: false });
  const own = online.fake.steps.filter(({ images }) => images[0] === BATCH).map(({ batch }) => batch);
  assert.deepEqual(
    own,
    offline.fake.steps.map(({ batch }) => batch),
  );
});

test('exclude-scored steps on training queries that no validation query equals', async () => {
  await assert.rejects(run('none-left', { onlineScope: 'exclude-scored' }), /online-scope: all \d+ queries/);
});

test('queries without an image are left out', async () => {
  const cacheFolder = join(root, 'cache');
  const text = PAIRS[0]?.[2] ?? '';
  const images = join(cacheFolder, 'valid', normalizeQuery(text));
  mkdirSync(images, { recursive: true });
  cpSync(join(goldens, 'preprocessing/exact-224.png'), join(images, '1.jpg'));
  const { events } = await run('cached', { onlineCache: true, cacheFolder, maxEpochs: 1 });
  const online = events.flatMap((event) => (event.kind === 'validation' ? [event.online] : []))[0];
  assert.equal(online?.source, 'cache');
  assert.ok((online?.pairs ?? 0) >= 1 && (online?.pairs ?? 0) < (online?.queries ?? 0));
  assert.equal(online?.leftOut['not-crawled'], (online?.queries ?? 0) - (online?.pairs ?? 0));
});

for (const [what, stopsAt] of [
  [
    'among the online steps of a validation',
    (event: TrainingEvent) => event.kind === 'online-step' && event.step === 2,
  ],
  [
    'at the last step before a validation',
    (event: TrainingEvent) => event.kind === 'step' && event.step === STEPS_PER_EPOCH,
  ],
  [
    'among those of the last validation',
    (event: TrainingEvent, seen: number) => event.kind === 'online-step' && seen === VALID_BATCHES + 1,
  ],
] as const)
  test(`a run that was stopped ${what} ends as one that was not, to the bit`, async () => {
    const name = `stopped-${what.length}`;
    const whole = await run(`whole-${what.length}`);
    let seen = 0;
    const stopped = await run(name, {}, everyImage(), (event, stop) => {
      if (event.kind === 'online-step') seen++;
      if (stopsAt(event, seen)) stop.abort();
    });
    assert.equal(stopped.result.outcome, 'stopped');
    assert.equal(stopped.checkpoint.extra?.['validationPending'], true);
    const resumed = await run(name);
    assert.equal(resumed.result.outcome, 'completed');
    assert.deepEqual(trained(resumed), trained(whole));
    assert.equal(resumed.checkpoint.optimizer?.step, whole.checkpoint.optimizer?.step);
    assert.equal(resumed.checkpoint.extra?.['validationPending'], undefined);
  });

test('replay adds old pairs to each online step, in a step of its own size', async () => {
  const { fake } = await run('replay', { replayRatio: 1, maxEpochs: 1 });
  assert.equal(fake.created[0]?.largestBatch, 2 * VALID_BATCH);
  assert.equal(fake.steps.filter(({ images }) => images[0] === 2 * VALID_BATCH).length, VALID_BATCHES);
});

test('options that do not belong together are named', () => {
  const parse = (given: Record<string, unknown>) => () => parseTrainingOptions({ trainData: 'x', ...given });
  for (const [given, message] of [
    [{ onlineLearning: true }, /crawler-address: is required for online learning, or online-cache/],
    [{ onlineLearning: true, onlineCache: true }, /cache-folder: is required with online-cache/],
    [{ onlineCache: true }, /online-cache: goes with online-learning only/],
    [{ replayRatio: 1 }, /replay-ratio: goes with online-learning only/],
    [{ onlineScope: 'exclude-scored' }, /online-scope: goes with online-learning only/],
    [{ onlineScope: 'none of it' }, /online-scope: "none of it" is not valid/],
  ] as const)
    assert.throws(parse(given), (error: unknown) => {
      assert.ok(error instanceof InvalidInputError);
      assert.match(error.message, message);
      return true;
    });
});
