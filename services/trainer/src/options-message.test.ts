import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  Augmentation,
  FeatureGradients,
  Loss,
  OnlineScope,
  Optimizer,
  Precision,
  RunOptions,
} from '@online-cnclip/contracts/trainer/v1';
import { DataFolder, InvalidInputError } from '@online-cnclip/foundation';
import { TRAINING_OPTION_NAMES } from '@online-cnclip/training';
import { runFolder, runOptionsMessage, trainingOptionsOf } from './options-message.ts';

const root = new DataFolder(mkdtempSync(join(tmpdir(), 'options-')));
const now = new Date('2026-01-02T03:04:05Z');
const parse = (given: Partial<RunOptions>) =>
  trainingOptionsOf(RunOptions.fromPartial({ trainData: 'lmdb/train', ...given }), root, now);

/** Every field, with a value that is not its default. */
const FULL: RunOptions = {
  trainData: 'lmdb/train',
  valData: 'lmdb/valid',
  numWorkers: 2,
  logs: 'runs',
  name: 'full',
  logInterval: 3,
  reportTrainingBatchAcc: true,
  batchSize: 5,
  microBatchSize: 1,
  featureGradients: FeatureGradients.FEATURE_GRADIENTS_ALL,
  validBatchSize: 6,
  maxSteps: 7n,
  maxEpochs: 8,
  validStepInterval: 9n,
  validEpochInterval: 10,
  contextLength: 11,
  lr: 0.12,
  beta1: 0.13,
  beta2: 0.14,
  eps: 0.15,
  wd: 0.16,
  warmup: 17n,
  useAugment: false,
  skipScheduler: true,
  saveEpochFrequency: 18,
  saveStepFrequency: 19n,
  resume: 'other/epoch_latest.pt',
  resetOptimizer: true,
  resetDataOffset: true,
  precision: Precision.PRECISION_AMP,
  visionModel: 'RN50',
  textModel: 'RBT3-chinese',
  clipWeightPath: 'weights/clip.pt',
  bertWeightPath: 'weights/bert.bin',
  freezeVision: true,
  skipAggregate: true,
  useBnSync: false,
  debug: true,
  seed: 20n,
  loss: Loss.LOSS_CLIP,
  optimizer: Optimizer.OPTIMIZER_ADAMW,
  onlineLearning: true,
  onlineCache: true,
  cacheFolder: 'images',
  onlineScope: OnlineScope.ONLINE_SCOPE_EXCLUDE_SCORED,
  replayRatio: 0.5,
  maskDuplicates: true,
  augmentation: Augmentation.AUGMENTATION_BASIC,
};

test('every option goes both ways', () => {
  // The crawler's address is the service's business.
  const names = TRAINING_OPTION_NAMES.filter((name) => name !== 'crawlerAddress');
  assert.deepEqual(Object.keys(FULL).sort(), [...names].sort());
  const options = parse(FULL);
  assert.equal(options.trainData, join(root.path, 'lmdb/train'));
  assert.equal(runFolder(options), join(root.path, 'runs/full'));
  assert.deepEqual(runOptionsMessage(options, root), FULL);
});

test('what is not set has its default, and the answer says it', () => {
  const message = runOptionsMessage(parse({}), root);
  assert.equal(message.logs, 'experiments');
  assert.equal(message.batchSize, 64);
  assert.equal(message.lr, 5e-4);
  assert.equal(message.loss, Loss.LOSS_DSL);
  assert.equal(message.name, '2026-01-02-03-04-05_ViT-B-16_RoBERTa-wwm-ext-base-chinese');
  assert.deepEqual([message.valData, message.resume, message.maxSteps], ['', undefined, undefined]);
  assert.equal(
    runOptionsMessage(parse({ useAugment: true }), root).augmentation,
    Augmentation.AUGMENTATION_ORIGINAL,
  );
});

test('an interval of 0 is never', () => {
  const options = parse({
    validStepInterval: 0n,
    validEpochInterval: 0,
    saveEpochFrequency: 0,
    saveStepFrequency: 0n,
  });
  assert.deepEqual(
    [
      options.validStepInterval,
      options.validEpochInterval,
      options.saveEpochFrequency,
      options.saveStepFrequency,
    ],
    [null, null, -1, -1],
  );
});

test('paths out of the data folder and numbers of another contract are refused by name', () => {
  for (const [given, place] of [
    [{ valData: '../x' }, 'val-data'],
    [{ logs: '/tmp' }, 'logs'],
    [{ clipWeightPath: '../x' }, 'clip-weight-path'],
    [{ bertWeightPath: '/x' }, 'bert-weight-path'],
    [{ loss: 9 as Loss }, 'loss'],
    [{ optimizer: 9 as Optimizer }, 'optimizer'],
    [{ precision: 9 as Precision }, 'precision'],
    [{ featureGradients: 9 as FeatureGradients }, 'feature-gradients'],
    [{ batchSize: 4, microBatchSize: 3 }, 'micro-batch-size'],
    [{ augmentation: 9 as Augmentation }, 'augmentation'],
  ] as const)
    assert.throws(
      () => parse(given),
      (error) => error instanceof InvalidInputError && error.place === place,
    );
});
