import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { localGroup } from '@online-cnclip/collectives';
import { FailedPreconditionError, float32, type NamedArrays } from '@online-cnclip/foundation';
import { initializeParameters } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { CONTEXT_LENGTH, SMALL_VIT, strided, testBatch } from '../testing/small-models.ts';
import type { TrainingPrecision, TrainStep, TrainStepOptions, TrainStepResult } from '../train-step.ts';
import { createTrainStep } from './create-train-step.ts';

/**
 * Half precision has 11 binary digits: one rounding is off by 2^-11 = 5e-4 at most. A result that went through all products of
 * this model is off by a few of them.
 */
const LOSS_TOLERANCE = 5e-3;
const BATCH = 4;
const LEARNING_RATE = 1e-3;

const runtime = createOnnxRuntime({ threads: 1 });
after(() => runtime.dispose());

const createStep = (precision: TrainingPrecision, given: Partial<TrainStepOptions> = {}) =>
  createTrainStep({
    config: SMALL_VIT,
    parameters: initializeParameters(SMALL_VIT, 3),
    runtime,
    batchSize: BATCH,
    contextLength: CONTEXT_LENGTH,
    loss: 'clip',
    optimizer: { kind: 'adamw', beta1: 0.9, beta2: 0.98, eps: 1e-3, weightDecay: 0.01 },
    freezeVision: false,
    seed: 5,
    precision,
    ...given,
  });

/** Low enough for this model, whose gradients are large: no step is skipped. */
const FITTING_SCALE = 256;

async function withFittingScale(step: TrainStep): Promise<TrainStep> {
  const lossScale = { scale: FITTING_SCALE, goodSteps: 0, skippedSteps: 0 };
  await step.restore({ ...(await step.state()), lossScale });
  return step;
}

async function train(step: TrainStep, steps: number, scaleOfPixels = 1): Promise<TrainStepResult[]> {
  const results = [];
  for (let i = 0; i < steps; i++) {
    const { images, ids } = testBatch(BATCH, i);
    const pixels = float32(
      images.shape,
      images.data.map((pixel) => pixel * scaleOfPixels),
    );
    results.push(await step.run(pixels, ids, LEARNING_RATE));
  }
  return results;
}

const copyOf = (parameters: NamedArrays) =>
  new Map([...parameters].map(([name, { data }]) => [name, (data as Float32Array).slice()]));

test('amp and fp16 train as fp32 does, to the precision of their products', async () => {
  const exact = await createStep('fp32');
  const expected = await train(exact, 8);
  for (const precision of ['amp', 'fp16'] as const) {
    const step = await withFittingScale(await createStep(precision));
    const actual = await train(step, 8);
    let difference = 0;
    expected.forEach(({ loss }, i) => {
      const error = Math.abs((actual[i]?.loss ?? 0) - loss) / loss;
      assert.ok(error <= LOSS_TOLERANCE, `${precision}: loss of step ${i} is off by ${error}`);
      difference += error;
    });
    assert.ok(difference > 1e-6, `${precision} is no other arithmetic than fp32`);
    assert.deepEqual(actual.at(-1)?.lossScale, { scale: FITTING_SCALE, goodSteps: 8, skippedSteps: 0 });
    const weight = (await step.state()).parameters.get('visual.transformer.resblocks.0.mlp.c_fc.weight');
    const isHalf = [...(weight?.data ?? [])].every((value) => Math.f16round(Number(value)) === value);
    assert.equal(isHalf, precision === 'fp16');
    await step.dispose();
  }
  await exact.dispose();
});

test('a step that overflows is skipped and counted, and nothing else changes; the scale comes down until it fits', async () => {
  const step = await createStep('amp');
  await train(step, 1);
  await step.restore({
    ...(await step.state()),
    lossScale: { scale: 2 ** 40, goodSteps: 5, skippedSteps: 2 },
  });
  const before = copyOf((await step.state()).parameters);
  const { step: updates } = (await step.state()).optimizer;
  const [skipped] = await train(step, 1);
  assert.deepEqual(skipped?.lossScale, { scale: 2 ** 39, goodSteps: 0, skippedSteps: 3 });
  const after = await step.state();
  assert.equal(after.optimizer.step, updates);
  for (const [name, data] of before) assert.deepEqual(after.parameters.get(name)?.data, data, name);
  const more = await train(step, 40);
  const last = more.at(-1)?.lossScale;
  assert.ok(last && last.scale < 2 ** 39 && last.goodSteps > 0, JSON.stringify(last));
  await step.dispose();
});

test('what overflows without any scale is an error, not a run that never learns', async () => {
  const step = await createStep('amp');
  await assert.rejects(
    train(step, 40, 1e6),
    (error) =>
      error instanceof FailedPreconditionError && /not finite with a loss scale of 0.5/.test(error.message),
  );
  await step.dispose();
});

test('micro-batches and replicas scale their loss together', async () => {
  const plain = await createStep('amp');
  const [expected] = await train(plain, 1);
  await plain.dispose();
  for (const microBatchSize of [undefined, 1]) {
    const replicas = await Promise.all(
      localGroup(2).map((collectives) =>
        createStep('amp', {
          batchSize: BATCH / 2,
          ...(microBatchSize !== undefined && { microBatchSize }),
          replicas: { collectives, aggregate: true, featureGradients: 'all', syncBatchNorm: false },
        }),
      ),
    );
    await Promise.all(replicas.map(withFittingScale));
    const { images, ids } = testBatch(BATCH, 0);
    const results = await Promise.all(
      replicas.map((step, rank) => step.run(strided(images, rank, 2), strided(ids, rank, 2), LEARNING_RATE)),
    );
    for (const result of results) {
      assert.ok(Math.abs(result.loss - (expected?.loss ?? 0)) <= LOSS_TOLERANCE);
      assert.equal(result.lossScale?.goodSteps, 1);
    }
    for (const step of replicas) await step.dispose();
  }
});
