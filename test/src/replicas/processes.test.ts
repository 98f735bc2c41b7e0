import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipWithoutGloo } from '@online-cnclip/collectives/testing';
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

async function train(worldSize: number, microBatchSize?: number) {
  const group = await ReplicaProcesses.start({
    ...MODEL,
    worldSize,
    ...(microBatchSize !== undefined && { microBatchSize }),
  });
  try {
    return await group.train(STEPS);
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
    const replicas = await train(worldSize, microBatchSize);
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
