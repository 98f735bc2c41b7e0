import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@online-cnclip/foundation';
import { Telemetry } from '@online-cnclip/service-kit';
import { RunStore } from './runs/run-store.ts';
import { Runs } from './runs/runs.ts';
import { observeRuns } from './telemetry.ts';
import { noAdaptation, options, stepEvent, validationEvent } from './testing.ts';

test('metrics follow the run that goes on', async () => {
  const end = Promise.withResolvers<void>();
  const reported = Promise.withResolvers<void>();
  const runs = await Runs.open({
    store: new RunStore(mkdtempSync(join(tmpdir(), 'telemetry-'))),
    logger: silentLogger,
    ...noAdaptation,
    launch: async (_, { onEvent }) => {
      onEvent(stepEvent(3));
      onEvent(validationEvent(3));
      reported.resolve();
      await end.promise;
      return { outcome: 'completed', step: 4, epoch: 1 };
    },
  });
  const telemetry = new Telemetry('trainer');
  observeRuns(telemetry, runs);
  const read = async (name: string) => {
    const metrics = await telemetry.registry.metrics();
    return Number(new RegExp(`^onlinecnclip_trainer_${name}\\{.*\\} (.*)$`, 'm').exec(metrics)?.[1]);
  };
  assert.equal(await read('running_runs'), 0);
  runs.start(options(), '/f');
  await reported.promise;
  assert.equal(await read('running_runs'), 1);
  assert.equal(await read('step_steps'), 3);
  assert.equal(await read('loss_nats'), 0.25);
  assert.equal(await read('logit_scale_nats'), stepEvent(3).logitScale);
  assert.equal(await read('learning_rate_ratio'), stepEvent(3).learningRate);
  assert.equal(await read('throughput_pairs_per_second'), 640);
  assert.equal(await read('validation_mean_recall_percent'), 20);
  end.resolve();
  for await (const _ of runs.watch('run-1', new AbortController().signal));
  assert.equal(await read('running_runs'), 0);
  assert.equal(await read('step_steps'), 4);
  assert.equal(await read('throughput_pairs_per_second'), 0);
});
