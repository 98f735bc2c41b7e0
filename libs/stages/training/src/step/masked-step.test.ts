import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { float32, InvalidInputError, int32 } from '@online-cnclip/foundation';
import {
  initializeParameters,
  type LossKind,
  type ModelConfig,
  type OptimizerKind,
} from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { CONTEXT_LENGTH, SMALL_RESNET, SMALL_VIT, withoutDropout } from '../testing/small-models.ts';
import type { TrainStep, TrainStepOptions } from '../train-step.ts';
import { createTrainStep } from './create-train-step.ts';

/** Absolute; parameters are below 1 in size and a step is far larger. */
const TOLERANCE = 1e-6;
const LEARNING_RATE = 1e-3;
const STEPS = 3;

// Dropout would draw other numbers for another number of rows.
const VIT = withoutDropout(SMALL_VIT);
const RESNET = withoutDropout(SMALL_RESNET);

// One thread: sums in one order.
const runtime = createOnnxRuntime({ threads: 1 });
after(() => runtime.dispose());

function batch(pairs: number, step: number) {
  const { imageResolution } = VIT.vision;
  const pixels = 3 * imageResolution ** 2;
  const images = Float32Array.from({ length: pairs * pixels }, (_, i) => Math.sin(i * (1 + step) + (i % 11)));
  const ids = Int32Array.from({ length: pairs * CONTEXT_LENGTH }, (_, i) =>
    i % CONTEXT_LENGTH === 5 ? 0 : 1 + ((i * 7 + step) % 31),
  );
  return {
    images: float32([pairs, 3, imageResolution, imageResolution], images),
    ids: int32([pairs, CONTEXT_LENGTH], ids),
  };
}

interface Trial {
  readonly config?: ModelConfig;
  readonly loss?: LossKind;
  readonly optimizer?: OptimizerKind;
  readonly batchSize: number;
}

function optionsOf({ config = VIT, loss = 'dsl', optimizer = 'lamb', batchSize }: Trial): TrainStepOptions {
  return {
    config,
    parameters: initializeParameters(config, 3),
    runtime,
    batchSize,
    contextLength: CONTEXT_LENGTH,
    loss,
    optimizer: { kind: optimizer, beta1: 0.9, beta2: 0.98, eps: 1e-6, weightDecay: 0.01 },
    freezeVision: false,
    seed: 1,
  };
}

const createStep = (trial: Trial): Promise<TrainStep> => createTrainStep(optionsOf(trial));

async function trained(trial: Trial, pairs: number) {
  const step = await createStep(trial);
  const losses: number[] = [];
  for (let i = 0; i < STEPS; i++) {
    const { images, ids } = batch(pairs, i);
    losses.push((await step.run(images, ids, LEARNING_RATE)).loss);
  }
  const { parameters } = await step.state();
  await step.dispose();
  return { losses, parameters };
}

/** The true gradient of an attention's key bias is zero: what is computed is noise, which the optimizers amplify. */
const isNoise = (name: string) => /key\.bias$|k_proj\.bias$|in_proj_bias$/.test(name);

const largestDifference = (actual: Float32Array, expected: Float32Array): number =>
  actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] as number))), 0);

for (const [config, loss, optimizer] of [
  [VIT, 'dsl', 'lamb'],
  [VIT, 'dsl', 'adamw'],
  [VIT, 'clip', 'lamb'],
  [VIT, 'clip', 'adamw'],
] as const)
  test(`3 pairs in a batch of 5 train as a batch of 3: ${config.vision.kind}, ${loss}, ${optimizer}`, async () => {
    const masked = await trained({ config, loss, optimizer, batchSize: 5 }, 3);
    const plain = await trained({ config, loss, optimizer, batchSize: 3 }, 3);
    for (const [i, expected] of plain.losses.entries())
      assert.ok(
        Math.abs((masked.losses[i] as number) - expected) <= TOLERANCE * Math.max(1, expected),
        `step ${i}`,
      );
    for (const [name, { data }] of plain.parameters) {
      if (isNoise(name)) continue;
      const actual = masked.parameters.get(name)?.data as Float32Array;
      const worst = largestDifference(actual, data as Float32Array);
      assert.ok(worst <= TOLERANCE, `${name}: ${worst}`);
    }
  });

test('rows that are no pairs take no part in batch normalisation', async () => {
  const masked = await trained({ config: RESNET, batchSize: 5 }, 3);
  const plain = await trained({ config: RESNET, batchSize: 3 }, 3);
  assert.ok(Math.abs((masked.losses[0] as number) - (plain.losses[0] as number)) <= 1e-5);
  for (const [name, { data }] of plain.parameters) {
    if (!/running_(mean|var)$/.test(name)) continue;
    const actual = masked.parameters.get(name)?.data as Float32Array;
    const scale = (data as Float32Array).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = largestDifference(actual, data as Float32Array);
    assert.ok(worst <= 1e-3 * scale, `${name}: ${worst} of ${scale}`);
  }
});

test('keys that say nothing change nothing', async () => {
  const { images, ids } = batch(4, 0);
  const keys = int32([4, 2], Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3));
  const losses: number[] = [];
  for (const pairKeys of [undefined, keys]) {
    const step = await createStep({ batchSize: 4 });
    losses.push((await step.run(images, ids, LEARNING_RATE, { pairKeys })).loss);
    await step.dispose();
  }
  assert.ok(Math.abs((losses[0] as number) - (losses[1] as number)) <= TOLERANCE * (losses[0] as number));
});

test('a step may have more pairs than a plain batch where it was made for that', async () => {
  const large = await createTrainStep({ ...optionsOf({ batchSize: 2 }), largestBatch: 5 });
  const plain = await createStep({ batchSize: 4 });
  const { images, ids } = batch(4, 0);
  const losses = [await large.run(images, ids, LEARNING_RATE), await plain.run(images, ids, LEARNING_RATE)];
  assert.ok(Math.abs((losses[0]?.loss as number) - (losses[1]?.loss as number)) <= 1e-5);
  await assert.rejects(large.run(batch(6, 0).images, batch(6, 0).ids, LEARNING_RATE), /1 to 5 pairs/);
  await large.dispose();
  await plain.dispose();
});

test('refuses batches that do not fit, naming their shapes', async () => {
  const step = await createStep({ batchSize: 3 });
  const refused = async (pairs: number, keys: readonly number[] | undefined, message: RegExp) => {
    const { images, ids } = batch(pairs, 0);
    const pairKeys = keys && int32([keys.length / 2, 2], Int32Array.from(keys));
    await assert.rejects(step.run(images, ids, LEARNING_RATE, { pairKeys }), (error: unknown) => {
      assert.ok(error instanceof InvalidInputError);
      assert.match(error.message, message);
      return true;
    });
  };
  await refused(4, undefined, /images\[4,3,32,32\].*1 to 3 pairs/);
  await refused(0, undefined, /images\[0,3,32,32\]/);
  await refused(2, [0, 0], /pair_keys\[1,2\] given, \[2,2\] expected/);
  await refused(2, [-1, -1, -1, -1], /no row of the batch is a pair/);
  await step.dispose();
});
