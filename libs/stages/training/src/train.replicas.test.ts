// Several replicas of one run, within one process, with a real model of the smallest preset.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCheckpoint } from '@online-cnclip/checkpoint';
import { localGroup } from '@online-cnclip/collectives';
import type { NamedArrays } from '@online-cnclip/foundation';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import type { TrainingEvent, TrainingResult } from './events.ts';
import { parseTrainingOptions } from './options.ts';
import type { RecallRequest } from './ports.ts';
import { createTrainStep } from './step/create-train-step.ts';
import { fakeRecall } from './testing/fake-training.ts';
import { train } from './train.ts';

const data = fileURLToPath(new URL('../../../../test/goldens/dataset/lmdb/valid', import.meta.url));
const GLOBAL_BATCH = 4;
/** Relative. Of parameters more is asked where the optimizer's epsilon does not blow noise up (step/replicas.test.ts). */
const TOLERANCE = 1e-5;
const PARAMETER_TOLERANCE = 1e-4;

const runtime = createOnnxRuntime({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), 'train-replicas-'));
after(async () => {
  await runtime.dispose();
  await rm(folder, { recursive: true });
});

interface ReplicaRun {
  readonly result: TrainingResult;
  readonly events: readonly TrainingEvent[];
  readonly recalls: readonly RecallRequest[];
}

/** @param stopAt step after which the last replica, and it alone, is told to stop */
async function run(
  name: string,
  worldSize: number,
  given: Record<string, unknown> = {},
  stopAt = Number.POSITIVE_INFINITY,
): Promise<readonly ReplicaRun[]> {
  const options = parseTrainingOptions({
    trainData: data,
    valData: data,
    logs: folder,
    name,
    batchSize: GLOBAL_BATCH / worldSize,
    validBatchSize: GLOBAL_BATCH / worldSize,
    numWorkers: 0,
    contextLength: 12,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
    featureGradients: 'all',
    useAugment: true,
    logInterval: 1,
    warmup: 2,
    maxSteps: 4,
    ...given,
  });
  return Promise.all(
    localGroup(worldSize).map(async (collectives) => {
      const stop = new AbortController();
      const events: TrainingEvent[] = [];
      const recall = fakeRecall();
      const onEvent = (event: TrainingEvent) => {
        events.push(event);
        if (event.kind === 'step' && event.step === stopAt && collectives.rank === worldSize - 1)
          stop.abort();
      };
      const ports = { runtime, createTrainStep, recall, collectives };
      const result = await train(options, ports, { signal: stop.signal, onEvent });
      return { result, events, recalls: recall.requests };
    }),
  );
}

const checkpoint = (name: string) => readCheckpoint(join(folder, name, 'checkpoints/epoch_latest.pt'));
const losses = ({ events }: ReplicaRun) =>
  events.flatMap((event) => (event.kind === 'step' ? [event.loss] : []));

function assertClose(actual: NamedArrays, expected: NamedArrays): void {
  for (const [name, array] of expected) {
    // The true gradient of a key's bias is zero: what is computed is noise.
    if (name.endsWith('attention.self.key.bias') || name.endsWith('attn.in_proj_bias')) continue;
    const values = array.data as Float32Array;
    const other = actual.get(name)?.data as Float32Array;
    const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-2);
    values.forEach((value, i) => {
      const difference = Math.abs((other[i] as number) - value);
      assert.ok(
        difference <= PARAMETER_TOLERANCE * scale,
        `${name}[${i}] is off by ${difference} of ${scale}`,
      );
    });
  }
}

test('replicas train and validate as one with their global batch; rank 0 alone writes', async () => {
  const [one] = (await run('one', 1)) as [ReplicaRun];
  const two = await run('two', 2, { microBatchSize: 1 });
  for (const replica of two) {
    losses(one).forEach((loss, i) => {
      const other = losses(replica)[i] ?? 0;
      assert.ok(Math.abs(other - loss) <= TOLERANCE * loss, `loss of step ${i}: ${other}, ${loss} expected`);
    });
    const features = replica.recalls.at(-1)?.galleryFeatures;
    assert.deepEqual(features?.shape, one.recalls.at(-1)?.galleryFeatures.shape);
    assert.deepEqual(features, two[0]?.recalls.at(-1)?.galleryFeatures, 'all have the features of all');
  }
  const [mine, other] = [await checkpoint('two'), await checkpoint('one')];
  assertClose(mine.parameters, other.parameters);
  assert.equal(mine.extra?.['batchSize'], GLOBAL_BATCH);
  const saved = (replica?: ReplicaRun) => replica?.events.filter(({ kind }) => kind === 'checkpoint').length;
  assert.deepEqual([saved(two[0]), saved(two[1])], [saved(one), 0]);
  const files = readdirSync(join(folder, 'two')).filter((file) => file.startsWith('params_'));
  assert.equal(files.length, 1);
  assert.match(readFileSync(join(folder, 'two', files[0] as string), 'utf8'), /^world_size: 2$/m);
  assert.ok(!two[1]?.events.some(({ kind }) => kind === 'log'), 'rank 0 says what all do');
});

test('replicas stop together when one is told to, and go on together to the same end', async () => {
  await run('whole', 2);
  const stopped = await run('parts', 2, {}, 2);
  assert.deepEqual(
    stopped.map(({ result }) => [result.outcome, result.step]),
    [
      ['stopped', 2],
      ['stopped', 2],
    ],
  );
  const resumed = await run('parts', 2);
  for (const { result } of resumed) assert.equal(result.outcome, 'completed');
  const [parts, whole] = [await checkpoint('parts'), await checkpoint('whole')];
  for (const [name, array] of whole.parameters)
    assert.deepEqual(parts.parameters.get(name)?.data, array.data, name);
});
