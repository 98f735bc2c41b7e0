import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { localGroup } from '@online-cnclip/collectives';
import { InvalidInputError, int32, type NamedArrays, type NdArray } from '@online-cnclip/foundation';
import { initializeParameters, type LossKind, type ModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime, type Runtime } from '@online-cnclip/runtime';
import { CONTEXT_LENGTH, SMALL_RESNET, SMALL_VIT, strided, testBatch } from '../testing/small-models.ts';
import type { TrainStepResult } from '../train-step.ts';
import { createTrainStep } from './create-train-step.ts';

/** Of one element after all steps, relative to the tensor's largest. */
const TOLERANCE = 1e-5;
const BATCH = 8;
const LEARNING_RATE = 1e-3;
const STEPS = 3;

// One thread: sums in one order.
const runtime = createOnnxRuntime({ threads: 1 });
after(() => runtime.dispose());

/** As a runtime whose programs cannot exchange within themselves: the loss then is a program of its own. */
const apart: Runtime = { ...runtime, canExchange: false };

interface Trial {
  readonly microBatchSize?: number;
  readonly on?: Runtime;
  readonly worldSize?: number;
  readonly config?: ModelConfig;
  readonly loss?: LossKind;
  readonly freezeVision?: boolean;
  readonly keys?: NdArray<'int32'>;
}

interface Outcome {
  readonly results: TrainStepResult[];
  readonly parameters: NamedArrays;
}

async function train(trial: Trial): Promise<Outcome> {
  const { microBatchSize, worldSize = 1, config = SMALL_VIT, loss = 'dsl', keys } = trial;
  const replicas = await Promise.all(
    localGroup(worldSize).map((collectives) =>
      createTrainStep({
        config,
        parameters: initializeParameters(config, 3),
        runtime: trial.on ?? runtime,
        batchSize: BATCH / worldSize,
        ...(microBatchSize !== undefined && { microBatchSize }),
        contextLength: CONTEXT_LENGTH,
        loss,
        optimizer: {
          kind: 'lamb',
          beta1: 0.9,
          beta2: 0.98,
          eps: 1e-3,
          weightDecay: 0.01,
          maxGradientNorm: 1,
        },
        freezeVision: trial.freezeVision ?? false,
        seed: 5,
        replicas: { collectives, aggregate: true, featureGradients: 'all', syncBatchNorm: false },
      }),
    ),
  );
  const results: TrainStepResult[] = [];
  for (let step = 0; step < STEPS; step++) {
    const { images, ids } = testBatch(BATCH, step);
    const share = <A extends NdArray>(array: A, rank: number) => strided(array, rank, worldSize);
    const all = await Promise.all(
      replicas.map((replica, rank) =>
        replica.run(share(images, rank), share(ids, rank), LEARNING_RATE, {
          pairKeys: keys && share(keys, rank),
        }),
      ),
    );
    results.push(all[0] as TrainStepResult);
  }
  const { parameters } = await (replicas[0] as (typeof replicas)[0]).state();
  for (const replica of replicas) await replica.dispose();
  return { results, parameters };
}

function assertClose(actual: Outcome, expected: Outcome): void {
  expected.results.forEach(({ loss }, step) => {
    const other = actual.results[step]?.loss ?? 0;
    assert.ok(Math.abs(other - loss) <= TOLERANCE * loss, `loss of step ${step}: ${other}, ${loss} expected`);
  });
  for (const [name, array] of expected.parameters) {
    if (name.endsWith('attention.self.key.bias')) continue;
    const data = array.data as Float32Array;
    const other = actual.parameters.get(name)?.data as Float32Array;
    const scale = Math.max(1e-2, ...data.map(Math.abs));
    data.forEach((value, i) => {
      const difference = Math.abs((other[i] as number) - value);
      assert.ok(difference <= TOLERANCE * scale, `${name}[${i}] is off by ${difference} of ${scale}`);
    });
  }
}

for (const loss of ['dsl', 'clip'] as const)
  test(`micro-batches of every size make the step of the whole batch, dropout on: ${loss}`, async () => {
    const whole = await train({ loss });
    for (const microBatchSize of [1, 2, 4, 8]) assertClose(await train({ loss, microBatchSize }), whole);
  });

test('so they do on several replicas, with masks, and with a frozen image tower', async () => {
  const keys = int32([BATCH, 2], Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 5, 6, 3, -1, -1));
  for (const trial of [{}, { keys }, { freezeVision: true }]) {
    const whole = await train(trial);
    for (const worldSize of [2, 4])
      assertClose(await train({ ...trial, worldSize, microBatchSize: 1 }), whole);
    assertClose(await train({ ...trial, worldSize: 2, microBatchSize: 2, on: apart }), whole);
    assertClose(await train({ ...trial, worldSize: 2, on: apart }), whole);
  }
});

test('batch normalisation has the statistics of its micro-batch', async () => {
  const whole = await train({ config: SMALL_RESNET });
  assertClose(await train({ config: SMALL_RESNET, microBatchSize: BATCH }), whole);
  const parts = await train({ config: SMALL_RESNET, microBatchSize: 4 });
  assert.throws(() => assertClose(parts, whole));
  for (const { loss } of parts.results) assert.ok(Number.isFinite(loss));
});

test('a micro-batch that does not divide the batch is refused by name', async () => {
  for (const microBatchSize of [3, 16])
    await assert.rejects(
      train({ microBatchSize }),
      (error) =>
        error instanceof InvalidInputError &&
        error.place === 'micro-batch-size' &&
        /batch of 8/.test(error.message),
    );
});
