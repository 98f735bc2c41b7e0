// The whole stage with a real model of the smallest preset, on the golden data set.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCheckpoint } from '@online-cnclip/checkpoint';
import type { NamedArrays } from '@online-cnclip/foundation';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import type { TrainingEvent } from './events.ts';
import { parseTrainingOptions } from './options.ts';
import { createTrainStep } from './step/create-train-step.ts';
import { fakeRecall } from './testing/fake-training.ts';
import { train } from './train.ts';

const goldens = fileURLToPath(new URL('../../../../test/goldens/dataset', import.meta.url));
const PAIRS: unknown[] = JSON.parse(readFileSync(join(goldens, 'pairs.json'), 'utf8'));
const data = join(goldens, 'lmdb/valid');
const BATCH = 4;
const STEPS_PER_EPOCH = Math.ceil(PAIRS.length / BATCH);

// One thread: sums in one order, so that two runs can be equal to the bit.
const runtime = createOnnxRuntime({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), 'train-real-'));
after(async () => {
  await runtime.dispose();
  await rm(folder, { recursive: true });
});

async function run(name: string, given: Record<string, unknown>, stopAt = Number.POSITIVE_INFINITY) {
  const stop = new AbortController();
  const events: TrainingEvent[] = [];
  const options = parseTrainingOptions({
    trainData: data,
    logs: folder,
    name,
    batchSize: BATCH,
    validBatchSize: BATCH,
    numWorkers: 1,
    contextLength: 12,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
    logInterval: 1,
    warmup: 2,
    saveEpochFrequency: 0,
    ...given,
  });
  const result = await train(
    options,
    { runtime, createTrainStep, recall: fakeRecall() },
    {
      signal: stop.signal,
      onEvent: (event) => {
        events.push(event);
        if (event.kind === 'step' && event.step === stopAt) stop.abort();
      },
    },
  );
  const checkpoint = await readCheckpoint(join(folder, name, 'checkpoints/epoch_latest.pt'));
  return { result, events, checkpoint };
}

const losses = (events: readonly TrainingEvent[]) =>
  events.flatMap((event) => (event.kind === 'step' ? [event.loss] : []));
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

for (const [loss, optimizer, lr, epochs] of [
  ['dsl', 'lamb', 5e-3, 12],
  ['clip', 'adamw', 1e-3, 24],
] as const)
  test(`learns its pairs by heart with ${loss} and ${optimizer}`, async () => {
    const given = { loss, optimizer, lr, maxEpochs: epochs, valData: data, validEpochInterval: epochs };
    const { events } = await run(`${loss}-${optimizer}`, given);
    const steps = losses(events);
    assert.equal(steps.length, epochs * STEPS_PER_EPOCH);
    const first = mean(steps.slice(0, STEPS_PER_EPOCH));
    const last = mean(steps.slice(-STEPS_PER_EPOCH));
    assert.ok(last < 0.7 * first, `the loss fell from ${first} to ${last} only`);
    const validations = events.filter((event) => event.kind === 'validation');
    assert.equal(validations.length, 1);
    assert.ok((validations[0]?.imageToTextAccuracy ?? 0) > 1 / BATCH);
  });

test('a run that was stopped and resumed ends with the parameters of one that was not, to the bit', async () => {
  const given = { maxEpochs: 2, useAugment: true };
  const whole = await run('whole', given);
  const stopped = await run('resumed', given, STEPS_PER_EPOCH - 1);
  assert.equal(stopped.result.outcome, 'stopped');
  const resumed = await run('resumed', given);
  assert.equal(resumed.result.outcome, 'completed');
  assert.deepEqual([...losses(stopped.events), ...losses(resumed.events)], losses(whole.events));
  assertSame(resumed.checkpoint.parameters, whole.checkpoint.parameters);
  assertSame(resumed.checkpoint.optimizer?.expAvg, whole.checkpoint.optimizer?.expAvg);
  assertSame(resumed.checkpoint.optimizer?.expAvgSq, whole.checkpoint.optimizer?.expAvgSq);
});

test('a frozen image tower stays as it was', async () => {
  const given = { maxSteps: 1, freezeVision: true, skipScheduler: true };
  const one = await run('frozen', given);
  const two = await run('frozen', { ...given, maxSteps: 3 });
  for (const [name, { data }] of two.checkpoint.parameters) {
    const before = one.checkpoint.parameters.get(name)?.data;
    const same = Buffer.from(data.buffer).equals(Buffer.from(before?.buffer ?? new ArrayBuffer(0)));
    if (name.startsWith('visual.')) assert.ok(same, `${name} has changed`);
    if (name === 'text_projection') assert.ok(!same, 'nothing was trained');
  }
});

function assertSame(actual: NamedArrays | undefined, expected: NamedArrays | undefined): void {
  assert.ok(actual && expected && actual.size === expected.size && actual.size > 0);
  for (const [name, { data }] of expected) assert.deepEqual(actual.get(name)?.data, data, name);
}
