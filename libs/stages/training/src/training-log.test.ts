import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { StepEvent, TrainingEvent, ValidationEvent } from './events.ts';
import { logLine, stepLine, TrainingLog, validationLines } from './training-log.ts';

const step: StepEvent = {
  kind: 'step',
  step: 12,
  totalSteps: 100,
  epoch: 2,
  totalEpochs: 10,
  loss: 2.3456789,
  learningRate: 0.00005,
  logitScale: 2.65876,
  dataSeconds: 0.0123,
  stepSeconds: 1.2345,
  pairsPerSecond: 50,
  etaSeconds: 100,
};
const context = { batchSize: 64, batchOfEpoch: 2, stepsPerEpoch: 10 };

// The formats of the research code's train.py and logger.py.
test("a step's line", () => {
  assert.equal(
    stepLine(step, context),
    'Global Steps: 12/100 | Train Epoch: 2 [128/640 (20%)] | Loss: 2.345679 | Data Time: 0.012s | ' +
      'Batch Time: 1.234s | LR: 0.000050 | logit_scale: 2.659 | Global Batch Size: 64',
  );
  assert.match(
    stepLine({ ...step, imageToTextAccuracy: 0.125, textToImageAccuracy: 1 }, context),
    / \| Loss: 2\.345679 \| Image2Text Acc: 12\.50 \| Text2Image Acc: 100\.00 \| Data Time: /,
  );
});

test("a validation's lines", () => {
  const recall = {
    recallAt1: 10.123,
    recallAt5: 20,
    recallAt10: 30,
    meanRecall: 20.041,
    queries: 7,
    gallery: 9,
  };
  const event: ValidationEvent = {
    kind: 'validation',
    step: 20,
    epoch: 2,
    loss: 1.5,
    imageToTextAccuracy: 0.5,
    textToImageAccuracy: 0.25,
    recall,
    seconds: 3,
  };
  assert.deepEqual(validationLines(event, 2.65876, 32), [
    'Validation Result (epoch 2 @ 20 steps) | Valid Loss: 1.500000 | Image2Text Acc: 50.00 | ' +
      'Text2Image Acc: 25.00 | logit_scale: 2.659 | Valid Batch Size: 32',
    'Validation Recall (epoch 2 @ 20 steps) | R@1: 10.12 | R@5: 20.00 | R@10: 30.00 | Mean Recall: 20.04 | ' +
      'Queries: 7 | Gallery: 9',
  ]);
});

test('lines carry time, level and rank', () => {
  const at = new Date(2024, 0, 31, 9, 5, 0);
  assert.equal(logLine(at, 'INFO', 'Params:'), '2024-01-31,09:05:00 | INFO | Rank 0 | Params:');
});

test('the log is written as it comes; debug lines only when asked for', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'log-')), 'out.log');
  const events: TrainingEvent[] = [];
  for (const debug of [false, true]) {
    const log = new TrainingLog(path, debug, (event) => events.push(event));
    log.info('one');
    log.debug('two');
    log.warn('three');
    log.close();
  }
  const messages = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' | ').slice(1).join(' '));
  const expected = ['INFO Rank 0 one', 'WARNING Rank 0 three'];
  assert.deepEqual(messages, [...expected, 'INFO Rank 0 one', 'DEBUG Rank 0 two', 'WARNING Rank 0 three']);
  assert.equal(events.length, 5);
});
