import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipWithoutGloo } from '@online-cnclip/collectives/testing';
import type { ReplicaOptions } from './replica.ts';
import { ReplicaProcesses } from './replica-processes.ts';

const STEPS = 20;
/** Relative to the largest of the sampled parameters, as for losses. */
const TOLERANCE = 1e-5;
const MODEL = {
  visionModel: 'ViT-mini-8-48',
  textModel: 'RoBERTa-mini-chinese',
  globalBatch: 8,
  threads: 1,
};

async function train(worldSize: number, given: Partial<ReplicaOptions> = {}, steps = STEPS) {
  const group = await ReplicaProcesses.start({ ...MODEL, ...given, worldSize });
  try {
    return await group.train(steps);
  } finally {
    await group.end();
  }
}

test('1, 2 and 4 processes over Gloo train the same model', { skip: skipWithoutGloo() }, async () => {
  const [one] = await train(1);
  assert.ok(one && (one.losses.at(-1) as number) < (one.losses[0] as number), 'it learns');
  for (const [worldSize, microBatchSize] of [
    [2, undefined],
    [4, 1],
  ] as const) {
    const replicas = await train(worldSize, microBatchSize === undefined ? {} : { microBatchSize });
    for (const { losses, digest, sample } of replicas) {
      assert.equal(digest, replicas[0]?.digest, 'all replicas have the same parameters, to the bit');
      one.losses.forEach((loss, i) => {
        const error = Math.abs((losses[i] as number) - loss) / loss;
        assert.ok(error <= TOLERANCE, `${worldSize} replicas: the loss of step ${i} is off by ${error}`);
      });
      const largest = Math.max(...one.sample.map(Math.abs));
      one.sample.forEach((value, i) => {
        const error = Math.abs((sample[i] as number) - value) / largest;
        assert.ok(error <= TOLERANCE, `${worldSize} replicas: parameter sample ${i} is off by ${error}`);
      });
    }
  }
});

/** A few roundings to 11 binary digits, as for one replica. */
const HALF_TOLERANCE = 5e-3;
const HALF_STEPS = 6;

test('2 processes over Gloo train the same model in half precision', {
  skip: skipWithoutGloo(),
}, async () => {
  const [one] = await train(1, {}, 1);
  const exact = one?.losses[0] as number;
  for (const precision of ['amp', 'fp16'] as const) {
    const replicas = await train(2, { precision }, HALF_STEPS);
    for (const { losses, digest } of replicas) {
      assert.equal(digest, replicas[0]?.digest, `${precision}: the same parameters, to the bit`);
      assert.deepEqual(losses, replicas[0]?.losses);
      const [first = 0] = losses;
      const error = Math.abs(first - exact) / exact;
      assert.ok(error <= HALF_TOLERANCE, `${precision}: the first loss is off by ${error}`);
      assert.notEqual(first, exact, `${precision} is no other arithmetic than fp32`);
      assert.ok((losses.at(-1) as number) < first, `${precision} learns: ${losses}`);
    }
  }
});
