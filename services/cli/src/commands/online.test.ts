// Test-time online learning as a process, on the golden data set and the smallest preset; the encoder and the trainer for
// what they serve.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createEncoderClient, createTrainerClient } from '@online-cnclip/client';
import { AdaptationOptions } from '@online-cnclip/contracts/trainer/v1';
import {
  cnclip,
  goldens,
  linesOf,
  startService,
  stopServices,
  succeed,
  TINY_MODEL,
  tinyCheckpoint,
  tinyDataPath,
  trainTiny,
} from '../testing/processes.ts';

const dataPath = tinyDataPath();
const dataset = join(dataPath, 'datasets/tiny');
const inTiny = ['--data-path', dataPath, '--dataset', 'tiny', '--split', 'valid'];
const online = [
  '--online-learning',
  '--online-cache',
  '--context-length',
  '12',
  '--batch-size',
  '4',
  ...TINY_MODEL,
];
const texts = () => linesOf(join(dataset, 'valid_texts.jsonl')).map((line): string => JSON.parse(line).text);

before(async () => {
  await succeed([
    'dataset',
    'build',
    '--data-path',
    dataPath,
    '--dataset',
    'tiny',
    '--splits',
    'train,valid',
  ]);
  await succeed(trainTiny(dataPath, 2));
  mkdirSync(join(dataPath, 'resume'));
  cpSync(tinyCheckpoint(dataPath), join(dataPath, 'resume/model.pt'));
  // Pictures for two queries, in the research code's layout.
  for (const text of texts().slice(0, 2)) {
    const folder = join(dataPath, 'cache/test', text.replaceAll(' ', ''));
    mkdirSync(folder, { recursive: true });
    cpSync(join(goldens, 'preprocessing/exact-224.png'), join(folder, '1.jpg'));
  }
});
after(stopServices);

describe('predict single --online-learning', () => {
  test("adapts, writes the research code's files, and says what the figures are worth", async () => {
    const more = ['--max-epochs', '1', '--replay-ratio', '1', '--gate-max-drop', '100', '--threads', '1'];
    const printed = await succeed(['predict', 'single', ...inTiny, ...online, ...more]);
    assert.match(
      printed,
      /^completed: \d+ online steps, scope all \(transductive: the scored queries themselves\)$/m,
    );
    assert.match(
      printed,
      /^images \(cache\): 2 for \d+ queries, 2 of them cached; left out: \d+ not-crawled$/m,
    );
    assert.match(printed, /^gate passed: mean recall [\d.]+ before, [\d.]+ after, a fall of 100 allowed$/m);
    for (const file of [
      'experiments/epoch1_online_1.pt',
      'datasets/tiny/valid_texts.txt_feat.jsonl',
      'datasets/tiny/valid_imgs.img_feat.jsonl',
      'npy_save/matrix-1.npy',
      'experiments/results/valid_predictions_1.jsonl',
    ])
      assert.ok(existsSync(join(dataPath, file)), file);
    assert.equal(linesOf(join(dataset, 'valid_texts.txt_feat.jsonl')).length, texts().length);
  });

  test('names what is wrong', async () => {
    const single = ['predict', 'single', ...inTiny];
    for (const [args, message] of [
      [[...online, '--max-epochs', '0'], /^cnclip: max-epochs: "0" is not valid: must be 1 or more\n$/],
      [[...online, '--max-epochs', '1', 'missing.pt'], /^cnclip: model: there is no "missing.pt"\n$/],
      [['--replay-ratio', '1'], /^cnclip: --replay-ratio: goes with --online-learning only\n$/],
      [['some.pt'], /^cnclip: some.pt: goes with --online-learning only\n$/],
      [
        ['--online-learning', '--max-epochs', '1'],
        /^cnclip: crawler-address: is required for online learning, or online-cache\n$/,
      ],
    ] as const) {
      const { code, stderr } = await cnclip([...single, ...args]);
      assert.match(stderr, message);
      assert.notEqual(code, 0);
    }
  });
});

describe('the trainer and the encoder', () => {
  test('what passed is served, run watch tells of it, and model rollback goes back', async () => {
    const encoderAddress = await startService('encoder', [
      ...['--data-folder', dataPath, '--checkpoint', 'resume/model.pt', '--context-length', '12'],
      ...[...TINY_MODEL, '--compute-threads', '1'],
    ]);
    const flags = ['--data-folder', dataPath, '--threads', '1', '--encoder-address', encoderAddress];
    const address = await startService('trainer', flags);
    const encoder = createEncoderClient(encoderAddress);
    const trainer = createTrainerClient(address);
    try {
      const options = AdaptationOptions.fromPartial({
        name: 'adapted',
        model: 'resume/model.pt',
        queries: 'datasets/tiny/valid_texts.jsonl',
        maxEpochs: 1,
        batchSize: 4,
        contextLength: 12,
        visionModel: 'ViT-mini-8-48',
        textModel: 'RoBERTa-mini-chinese',
        onlineCache: true,
        numWorkers: 0,
      });
      const served = async () => (await encoder.getModel({})).model?.checkpointPath;
      while ((await served().catch(() => undefined)) === undefined)
        await new Promise((resolve) => setTimeout(resolve, 100));
      await trainer.startAdaptation({ options });
      const printed = await succeed(['run', 'watch', 'adapted', '--address', address]);
      const adapted = 'experiments/adapted/checkpoints/epoch1_online_1.pt';
      assert.match(printed, /online steps, scope all \(transductive\); images: 2 for \d+ queries, 2 cached/);
      assert.match(printed, new RegExp(`the encoder serves ${adapted}`));
      assert.equal(await served(), adapted);
      assert.equal(
        await succeed(['model', 'rollback', '--address', address]),
        `resume/model.pt is served again, in the place of ${adapted}\n`,
      );
      assert.equal(await served(), 'resume/model.pt');
      const again = await cnclip(['model', 'rollback', '--address', address]);
      assert.match(again.stderr, /no adapted checkpoint has replaced another one/);
    } finally {
      encoder.close();
      trainer.close();
    }
  });
});
