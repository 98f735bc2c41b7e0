import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import { kebabCase } from './option-fields.ts';
import { describeTrainingOptions, parseTrainingOptions, TRAINING_OPTION_NAMES } from './options.ts';

const parse = (given: Record<string, unknown> = {}) => parseTrainingOptions({ trainData: 'data', ...given });

/** params.py of the research code, and train.sh where it is told otherwise. */
test("defaults are the research code's", () => {
  assert.deepEqual(
    { ...parse() },
    {
      trainData: 'data',
      valData: null,
      numWorkers: 4,
      logs: './logs/',
      name: 'train_clip',
      logInterval: 10,
      reportTrainingBatchAcc: false,
      batchSize: 64,
      microBatchSize: null,
      featureGradients: 'own',
      validBatchSize: 64,
      maxSteps: null,
      maxEpochs: 32,
      validStepInterval: null,
      validEpochInterval: 1,
      contextLength: 64,
      lr: 5e-4,
      beta1: 0.9,
      beta2: 0.98,
      eps: 1e-6,
      wd: 0.01,
      warmup: 500,
      augmentation: 'none',
      skipScheduler: false,
      saveEpochFrequency: 1,
      saveStepFrequency: -1,
      resume: null,
      resetOptimizer: false,
      resetDataOffset: false,
      precision: 'fp32',
      visionModel: 'ViT-B-16',
      textModel: 'RoBERTa-wwm-ext-base-chinese',
      clipWeightPath: null,
      bertWeightPath: null,
      freezeVision: false,
      skipAggregate: false,
      useBnSync: false,
      debug: false,
      seed: 123,
      optimizer: 'lamb',
      loss: 'dsl',
      onlineLearning: false,
      onlineCache: false,
      onlineScope: 'all',
      cacheFolder: null,
      crawlerAddress: null,
      replayRatio: 0,
      maskDuplicates: false,
    },
  );
});

test('optimizer settings follow the vision model and the optimizer, and can each be set', () => {
  const resnet = parse({ visionModel: 'RN50', optimizer: 'adamw' });
  assert.deepEqual([resnet.beta1, resnet.beta2, resnet.eps, resnet.wd], [0.9, 0.999, 1e-8, 0.001]);
  assert.equal(parse({ visionModel: 'ViT-L-14-336' }).lr, 4e-4);
  const set = parse({ lr: 1, beta1: 0.5, beta2: 0.6, eps: 1e-3, wd: 0 });
  assert.deepEqual([set.lr, set.beta1, set.beta2, set.eps, set.wd], [1, 0.5, 0.6, 1e-3, 0]);
});

test('names may be written as on the command line, in Python, or in camelCase; values may be texts', () => {
  const options = parse({
    'batch-size': '128',
    context_length: '24',
    useAugment: 'true',
    'valid-epoch-interval': 'None',
    lr: '5e-5',
    'save-step-frequency': '999999',
    logs: 'None',
  });
  assert.equal(options.batchSize, 128);
  assert.equal(options.contextLength, 24);
  assert.equal(options.augmentation, 'original');
  assert.equal(options.validEpochInterval, null);
  assert.equal(options.lr, 5e-5);
  assert.equal(options.saveStepFrequency, 999999);
  assert.equal(options.logs, null);
});

test('augmentation can be chosen apart from use-augment, but not against it', () => {
  assert.equal(parse({ augmentation: 'basic' }).augmentation, 'basic');
  assert.equal(parse({ augmentation: 'original' }).augmentation, 'original');
  for (const augmentation of ['basic', 'none'])
    assert.throws(() => parse({ augmentation, useAugment: true }), /augmentation: .*use-augment/);
});

for (const [given, message] of [
  [{ batchSize: 0 }, /^batch-size: 0 is not valid/],
  [{ batchSize: 'many' }, /^batch-size: "many" is not valid/],
  [{ batchSize: 1.5 }, /^batch-size: 1.5 is not valid/],
  [{ precision: 'fp8' }, /^precision: "fp8" is not valid/],
  [{ batchSize: 8, microBatchSize: 16 }, /^micro-batch-size: 16 is more than the batch-size of 8/],
  [{ batchSize: 8, microBatchSize: 3 }, /^micro-batch-size: 3 does not divide the batch-size of 8/],
  [{ microBatchSize: 0 }, /^micro-batch-size: 0 is not valid/],
  [{ batchSize: 8, microBatchSize: 4, useBnSync: true }, /^use-bn-sync: .*micro-batch-size 4/],
  [{ featureGradients: 'some' }, /^feature-gradients: "some"/],
  [{ optimizer: 'sgd' }, /^optimizer: "sgd"/],
  [{ loss: 'l2' }, /^loss: "l2"/],
  [{ beta1: 1 }, /^beta1: 1 is not valid/],
  [{ contextLength: 513 }, /^context-length: 513/],
  [{ useAugment: 'perhaps' }, /^use-augment: "perhaps"/],
  [{ name: '../other' }, /^name: "..\/other" is not the name of a folder/],
  [{ name: '..' }, /^name: /],
  [{ name: 'two\nlines' }, /^name: /],
  [{ name: '名'.repeat(67) }, /^name: /],
  [{ learningRate: 1 }, /^learning-rate: unknown training option/],
  [{ trainData: undefined }, /^train-data: /],
] as const)
  test(`refused by name: ${JSON.stringify(given)}`, () => {
    assert.throws(
      () => parseTrainingOptions('trainData' in given ? given : { trainData: 'data', ...given }),
      (error) => error instanceof InvalidInputError && message.test(error.message),
    );
  });

test('every option has its line of help', () => {
  const help = describeTrainingOptions();
  for (const name of TRAINING_OPTION_NAMES) {
    const line = help.split('\n').find((line) => line.startsWith(`  --${kebabCase(name)} `));
    assert.ok(line && line.trim().split(/\s{2,}|\s/).length > 2, `no help for ${name}`);
  }
});
