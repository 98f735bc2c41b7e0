import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AdaptationOptions, Loss, OnlineScope, Optimizer } from '@online-cnclip/contracts/trainer/v1';
import { DataFolder, InvalidInputError } from '@online-cnclip/foundation';
import { adaptationOptionsMessage, adaptationPlanOf } from './adaptation-message.ts';

const root = new DataFolder(mkdtempSync(join(tmpdir(), 'adaptation-')));
const now = new Date('2026-01-02T03:04:05Z');
const plan = (given: Partial<AdaptationOptions>, crawler?: string) =>
  adaptationPlanOf(
    AdaptationOptions.fromPartial({ model: 'm.pt', queries: 'q.jsonl', maxEpochs: 1, ...given }),
    root,
    now,
    crawler,
  );

/** Every field, with a value that is not its default. */
const FULL: AdaptationOptions = {
  name: 'full',
  model: 'a/model.pt',
  queries: 'a/test_texts.jsonl',
  onlineQueries: 'a/other_texts.jsonl',
  maxEpochs: 3,
  textFeatures: 'a/features.jsonl',
  imagesPerQuery: 4,
  batchSize: 5,
  contextLength: 6,
  lr: 0.07,
  warmup: 8n,
  beta1: 0.09,
  beta2: 0.1,
  eps: 0.11,
  wd: 0.12,
  optimizer: Optimizer.OPTIMIZER_ADAMW,
  loss: Loss.LOSS_CLIP,
  freezeVision: true,
  visionModel: 'ViT-mini-8-48',
  textModel: 'RoBERTa-mini-chinese',
  seed: 13n,
  numWorkers: 2,
  trainData: 'lmdb/train',
  gateData: 'lmdb/valid',
  onlineCache: true,
  cacheFolder: 'images',
  onlineScope: OnlineScope.ONLINE_SCOPE_EXCLUDE_SCORED,
  replayRatio: 1.5,
  maskDuplicates: true,
  gateMaxDrop: '10%',
  serve: true,
};

test('every option comes back as it was given', () => {
  const { name, options } = plan(FULL);
  assert.deepEqual(adaptationOptionsMessage(name, options, true, root), FULL);
});

test('a checkpoint goes into the folder of its run, which gets a name', () => {
  const { name, folder, options } = plan({ onlineCache: true });
  assert.equal(name, '2026-01-02-03-04-05_online');
  assert.equal(folder, join(root.path, 'experiments', name));
  assert.equal(options.output, join(folder, 'checkpoints'));
  assert.equal(options.cacheFolder, join(root.path, 'cache'));
  assert.equal(options.lr, 0.75e-5);
});

test('refused by name', () => {
  for (const [given, message] of [
    [{ model: '' }, /model: is required/],
    [{ queries: '' }, /queries: is required/],
    [{ maxEpochs: 0 }, /max-epochs: 0 is not valid: must be 1 or more/],
    [{ model: '../m.pt' }, /model: "..\/m.pt" leads out of the data folder/],
    [{ name: '../x' }, /name: "..\/x" is not the name of a folder/],
    [{ gateMaxDrop: 'x' }, /gate-max-drop: "x" is not valid/],
    [{ onlineScope: 9 as never }, /online-scope: 9 is not a known value/],
  ] as const)
    assert.throws(
      () => plan({ onlineCache: true, ...given }),
      (error: unknown) => {
        assert.ok(error instanceof InvalidInputError);
        assert.match(error.message, message);
        return true;
      },
    );
});
