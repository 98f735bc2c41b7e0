import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTrainingOptions, TRAINING_OPTION_NAMES } from './options.ts';
import { epochCheckpoint, paramsLines, runFiles, stepCheckpoint } from './run-files.ts';

test("files are named as the research code's, in UTC", () => {
  const files = runFiles('experiments', 'run', new Date('2024-01-31T09:05:00.123Z'));
  assert.equal(files.params, 'experiments/run/params_2024-01-31-09-05-00.txt');
  assert.equal(files.log, 'experiments/run/out_2024-01-31-09-05-00.log');
  assert.equal(files.checkpoints, 'experiments/run/checkpoints');
  assert.equal(epochCheckpoint(3), 'epoch3.pt');
  assert.equal(stepCheckpoint(3, 1200), 'epoch_3_1200.pt');
});

test('every option has its line, sorted, in the words of Python', () => {
  const options = parseTrainingOptions({ trainData: 'data', eps: 1e-8, useAugment: true });
  const lines = paramsLines(options, { worldSize: 1 });
  assert.deepEqual([...lines].sort(), lines);
  assert.equal(lines.length, TRAINING_OPTION_NAMES.length + 1);
  for (const line of [
    'batch_size: 64',
    'max_steps: None',
    'use_augment: True',
    'skip_scheduler: False',
    'eps: 1e-08',
    'lr: 0.0005',
    'augmentation: original',
    'world_size: 1',
  ])
    assert.ok(lines.includes(line), line);
});
