import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { localGroup } from '@online-cnclip/collectives';
import { int32, type NamedArrays, type NdArray } from '@online-cnclip/foundation';
import { initializeParameters, type ModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { CONTEXT_LENGTH, SMALL_RESNET, SMALL_VIT, strided, testBatch } from '../testing/small-models.ts';
import type { LossKind, OptimizerKind, ReplicaSettings, TrainStep, TrainStepResult } from '../train-step.ts';
import { createTrainStep } from './create-train-step.ts';

/** Of one element after all steps, relative to the tensor's largest. */
const TOLERANCE = 1e-5;
const GLOBAL_BATCH = 8;
const LEARNING_RATE = 1e-3;

// One thread: sums in one order.
const runtime = createOnnxRuntime({ threads: 1 });
after(() => runtime.dispose());

interface Trial {
  readonly worldSize: number;
  readonly steps: number;
  readonly config?: ModelConfig;
  readonly loss?: LossKind;
  readonly optimizer?: OptimizerKind;
  readonly settings?: Partial<Omit<ReplicaSettings, 'collectives'>>;
  /** Of the global batch, int32 `[batch, 2]`. */
  readonly keys?: NdArray<'int32'>;
  /** Which replicas are given their share of the keys. */
  readonly withKeys?: (rank: number) => boolean;
}

interface Outcome {
  readonly results: readonly TrainStepResult[];
  readonly parameters: NamedArrays;
}

async function createReplicas(trial: Trial): Promise<TrainStep[]> {
  const { worldSize, config = SMALL_VIT, loss = 'dsl', optimizer = 'lamb', settings } = trial;
  return Promise.all(
    localGroup(worldSize).map((collectives) =>
      createTrainStep({
        config,
        parameters: initializeParameters(config, 3),
        runtime,
        batchSize: GLOBAL_BATCH / worldSize,
        contextLength: CONTEXT_LENGTH,
        loss,
        optimizer: {
          kind: optimizer,
          beta1: 0.9,
          beta2: 0.98,
          // Large enough that Adam does not blow up the noise in gradients that are truly zero.
          eps: 1e-3,
          weightDecay: 0.01,
          ...(optimizer === 'lamb' && { maxGradientNorm: 1 }),
        },
        freezeVision: false,
        seed: 5,
        replicas: {
          collectives,
          aggregate: true,
          featureGradients: 'all',
          syncBatchNorm: false,
          ...settings,
        },
      }),
    ),
  );
}

async function train(trial: Trial): Promise<readonly Outcome[]> {
  const { worldSize, steps, keys, withKeys = () => true } = trial;
  const replicas = await createReplicas(trial);
  const results: TrainStepResult[][] = replicas.map(() => []);
  for (let step = 0; step < steps; step++) {
    const { images, ids } = testBatch(GLOBAL_BATCH, step);
    await Promise.all(
      replicas.map(async (replica, rank) => {
        const share = <A extends NdArray>(array: A) => strided(array, rank, worldSize);
        const own = keys && withKeys(rank) ? share(keys) : undefined;
        results[rank]?.push(await replica.run(share(images), share(ids), LEARNING_RATE, { pairKeys: own }));
      }),
    );
  }
  const outcomes = [];
  for (const [rank, replica] of replicas.entries()) {
    const { parameters } = await replica.state();
    outcomes.push({ results: results[rank] ?? [], parameters });
    await replica.dispose();
  }
  return outcomes;
}

function assertClose(actual: Outcome, expected: Outcome, tolerance = TOLERANCE): void {
  expected.results.forEach((result, step) => {
    const other = actual.results[step] as TrainStepResult;
    for (const key of ['loss', 'logitScale', 'imageToTextAccuracy', 'textToImageAccuracy'] as const)
      assert.ok(
        Math.abs(other[key] - result[key]) <= tolerance * Math.max(1e-3, Math.abs(result[key])),
        `${key} of step ${step}: ${other[key]}, ${result[key]} expected`,
      );
  });
  for (const [name, array] of expected.parameters) {
    // Its true gradient is zero: what is computed is noise.
    if (name.endsWith('attention.self.key.bias')) continue;
    const data = array.data as Float32Array;
    const other = actual.parameters.get(name)?.data as Float32Array;
    const scale = Math.max(...data.map(Math.abs));
    data.forEach((value, i) => {
      const difference = Math.abs((other[i] as number) - value);
      assert.ok(
        difference <= tolerance * Math.max(scale, 1e-2),
        `${name}[${i}] is off by ${difference} of ${scale}`,
      );
    });
  }
}

function assertSame(outcomes: readonly Outcome[]): void {
  const [first, ...others] = outcomes as [Outcome, ...Outcome[]];
  for (const other of others)
    for (const [name, { data }] of first.parameters)
      assert.deepEqual(other.parameters.get(name)?.data, data, name);
}

for (const [loss, optimizer] of [
  ['dsl', 'lamb'],
  ['clip', 'adamw'],
] as const)
  test(`1, 2 and 4 replicas with the same global batch agree after 20 steps of ${loss} and ${optimizer}`, async () => {
    const trial = { steps: 20, loss, optimizer };
    const [one] = (await train({ ...trial, worldSize: 1 })) as [Outcome];
    assert.ok((one.results.at(-1)?.loss ?? 0) < (one.results[0]?.loss ?? 0), 'it learns');
    for (const worldSize of [2, 4]) {
      const outcomes = await train({ ...trial, worldSize });
      assertSame(outcomes);
      for (const outcome of outcomes) assertClose(outcome, one);
    }
  });

test("with the gradient through the own features only it is the research code's: another one", async () => {
  const [one] = (await train({ worldSize: 1, steps: 1, optimizer: 'adamw' })) as [Outcome];
  const settings = { featureGradients: 'own' } as const;
  const [two] = (await train({ worldSize: 2, steps: 1, optimizer: 'adamw', settings })) as [Outcome];
  assert.throws(() => assertClose(two, one), /is off by/);
});

test('masks and duplicates hold across replicas, also for a replica that was given none', async () => {
  // Pairs 0 and 5 are of one image, 3 and 6 of one text, 7 is no pair.
  const keys = int32([GLOBAL_BATCH, 2], Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 5, 6, 3, -1, -1));
  const trial = { steps: 3, keys };
  const [one] = (await train({ ...trial, worldSize: 1 })) as [Outcome];
  const outcomes = await train({ ...trial, worldSize: 2 });
  assertSame(outcomes);
  assertClose(outcomes[0] as Outcome, one);

  // Among 4 replicas, ranks 0 and 2 have no duplicate of others here and no missing pair.
  const apart = int32([GLOBAL_BATCH, 2], Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 1, 5, 6, 6, -1, -1));
  const [whole] = (await train({ steps: 2, keys: apart, worldSize: 1 })) as [Outcome];
  const withKeys = (rank: number) => rank % 2 === 1;
  const some = await train({ steps: 2, keys: apart, worldSize: 4, withKeys });
  assertClose(some[0] as Outcome, whole);
});

test('without the features of others each replica has its own loss; the mean is reported', async () => {
  const settings = { aggregate: false };
  const outcomes = await train({ worldSize: 2, steps: 2, settings });
  assertSame(outcomes);
  const [shared] = (await train({ worldSize: 2, steps: 2 })) as [Outcome];
  assert.notEqual(outcomes[0]?.results[0]?.loss, shared.results[0]?.loss);
  assert.equal(outcomes[0]?.results[0]?.loss, outcomes[1]?.results[0]?.loss);
});

test('synchronised batch normalisation is that of one replica with the whole batch, masked rows left out', async () => {
  const missing = Int32Array.from({ length: 2 * GLOBAL_BATCH }, (_, i) => (i >> 1 === 4 ? -1 : i >> 1));
  for (const keys of [undefined, int32([GLOBAL_BATCH, 2], missing)]) {
    const trial = { steps: 2, config: SMALL_RESNET, ...(keys && { keys }) };
    const [one] = (await train({ ...trial, worldSize: 1 })) as [Outcome];
    const outcomes = await train({ ...trial, worldSize: 2, settings: { syncBatchNorm: true } });
    assertSame(outcomes);
    assertClose(outcomes[0] as Outcome, one, 10 * TOLERANCE);
    const apart = await train({ ...trial, worldSize: 2 });
    assertSame(apart);
    assert.throws(() => assertClose(apart[0] as Outcome, one, 10 * TOLERANCE));
  }
});
