// Training and what comes of it, each command as a process, on the golden data set and the smallest preset.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { readCheckpoint } from '@online-cnclip/checkpoint';
import { LATEST_CHECKPOINT } from '@online-cnclip/training';
import {
  cnclip,
  linesOf,
  start,
  succeed,
  TINY_MODEL,
  temporaryFolder,
  tinyCheckpoint,
  tinyDataPath,
  trainTiny,
} from '../testing/processes.ts';

const dataPath = tinyDataPath();
const dataset = join(dataPath, 'datasets/tiny');
const checkpoint = tinyCheckpoint(dataPath);
const inTiny = ['--data-path', dataPath, '--dataset', 'tiny'];

before(async () => {
  await succeed(['dataset', 'build', ...inTiny, '--splits', 'train,valid']);
  await succeed(trainTiny(dataPath, 2));
});

describe('train', () => {
  test('leaves its files in the data path, and resumes from them by itself', async () => {
    const { step } = await readCheckpoint(checkpoint);
    assert.equal(step, 2);
    const { stdout, stderr } = await cnclip(trainTiny(dataPath, 3));
    assert.match(stderr, /loaded checkpoint '.*epoch_latest\.pt' \(epoch 1 @ 2 steps\)/);
    assert.match(stderr, /Global Steps: 3\/3 .*Loss: /);
    assert.match(stderr, /Validation Recall .*R@10: /);
    assert.match(stdout, /^completed at step 3, epoch 1, loss [\d.]+, saved .*epoch_latest\.pt\n$/);
  });

  test('Ctrl-C finishes the step and saves, however often it is passed on', async () => {
    const { child, outcome } = start([
      ...trainTiny(dataPath, 100_000),
      '--name',
      'interrupted',
      '--val-data',
      'none',
    ]);
    let [log, stopped] = ['', false];
    child.stderr?.on('data', (chunk) => {
      log += chunk;
      if (stopped || !log.includes('Global Steps: 2/')) return;
      stopped = true;
      for (let i = 0; i < 2; i++) child.kill('SIGINT');
    });
    const { code, stdout } = await outcome;
    assert.equal(code, 130);
    const { step } = await readCheckpoint(
      join(dataPath, 'experiments/interrupted/checkpoints', LATEST_CHECKPOINT),
    );
    assert.match(stdout, new RegExp(`^stopped at step ${step}, `));
  });

  test('a second Ctrl-C ends it at once', async () => {
    const options = [
      '--name',
      'killed',
      '--val-data',
      'none',
      '--batch-size',
      '512',
      '--data_path',
      dataPath,
    ];
    const { child, outcome } = start([...trainTiny(dataPath, 100_000), ...options]);
    let pressed = false;
    child.stderr?.on('data', async (chunk: Buffer) => {
      // Once: a signal that arrives while the process is on its way out would end it by itself.
      if (pressed || !chunk.includes('Params')) return;
      pressed = true;
      child.kill('SIGINT');
      await setTimeout(700);
      child.kill('SIGINT');
    });
    const { code, signal } = await outcome;
    assert.deepEqual([code, signal], [130, null]);
    assert.ok(!existsSync(join(dataPath, 'experiments/killed/checkpoints', LATEST_CHECKPOINT)));
  });

  for (const [args, message] of [
    [['--batch-size', 'many'], /^cnclip: batch-size: "many" is not valid/],
    [['--batch-siez', '4'], /^cnclip: unknown option '--batch-siez' \(Did you mean --batch-size\?\)/],
    [['--vision-model', 'ViT-X'], /^cnclip: vision-model: "ViT-X" is unknown; known: /],
    [['--threads', '0'], /^cnclip: option '--threads <n>' argument '0' is invalid/],
  ] as const)
    test(`${args.join(' ')} is refused by name`, async () => {
      const { code, stderr } = await cnclip([...trainTiny(dataPath, 1), ...args]);
      assert.equal(code, 2);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split('\n').length, 1);
    });

  test('a missing input is named, and what no default is there for', async () => {
    const missing = await cnclip(['train', '--train-data', '/nowhere', '--logs', 'none']);
    assert.deepEqual([missing.code, missing.stderr], [1, 'cnclip: train-data: there is no "/nowhere"\n']);
    const none = await cnclip(['train']);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /^cnclip: --train-data: is required, or --data-path/);
  });
});

describe('encode and predict', () => {
  const encode = [
    'encode',
    '--resume',
    checkpoint,
    ...TINY_MODEL,
    '--context-length',
    '12',
    '--threads',
    '1',
  ];
  const split = ['--split', 'valid'];
  const imageFeatures = join(dataset, 'valid_imgs.img_feat.jsonl');
  const textFeatures = join(dataset, 'valid_texts.txt_feat.jsonl');

  before(async () => {
    const both = ['--extract-image-feats', '--extract-text-feats', '--img-batch-size', '5'];
    await succeed([...encode, ...both, ...split, '--dataset', 'tiny'], { env: { DATAPATH: dataPath } });
  });

  test('encode writes the features of every image and text, from LMDB and .tsv alike', async () => {
    const images = linesOf(imageFeatures).map((line) => JSON.parse(line));
    const ids = linesOf(join(dataset, 'valid_imgs.tsv')).map((line) => Number(line.split('\t')[0]));
    assert.deepEqual(new Set(images.map(({ image_id }) => image_id)), new Set(ids));
    for (const { feature } of images) assert.ok(Math.abs(Math.hypot(...feature) - 1) < 1e-5);
    assert.equal(linesOf(textFeatures).length, linesOf(join(dataset, 'valid_texts.jsonl')).length);

    const path = join(temporaryFolder(), 'features.jsonl');
    const tsv = ['--image-data', join(dataset, 'valid_imgs.tsv'), '--image-feat-output-path', path];
    await succeed([...encode, '--extract-image-feats', ...tsv]);
    const vectors = new Map(images.map(({ image_id, feature }) => [image_id, feature as number[]]));
    for (const line of linesOf(path)) {
      const { image_id, feature } = JSON.parse(line) as { image_id: number; feature: number[] };
      const same = vectors.get(image_id) ?? [];
      assert.ok(
        feature.every((value, i) => Math.abs(value - (same[i] ?? 1)) < 1e-5),
        `image ${image_id}`,
      );
    }
  });

  test('encode wants something to do, and places to write to', async () => {
    const nothing = await cnclip(encode);
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr, /--extract-image-feats/);
    const nowhere = await cnclip([
      ...encode,
      '--extract-image-feats',
      '--image-data',
      join(dataset, 'lmdb/valid/imgs'),
    ]);
    assert.equal(nowhere.code, 2);
    assert.match(nowhere.stderr, /^cnclip: --image-feat-output-path: is required/);
  });

  test('predict single writes where the research code does, and what evaluate takes', async () => {
    const printed = await succeed(['predict', 'single', ...inTiny, ...split, '--model', '3']);
    const predictions = join(dataPath, 'experiments/results/valid_predictions_3.jsonl');
    assert.match(printed, new RegExp(`^\\d+ queries, gallery of \\d+: ${predictions}\n`));
    assert.ok(existsSync(join(dataPath, 'npy_save/matrix-3.npy')));

    const elsewhere = join(temporaryFolder(), 'predictions.jsonl');
    const features = ['--image-feats', imageFeatures, '--text-feats', textFeatures];
    await succeed(['predict', 'single', ...features, '--output', elsewhere, '--top-k', '10']);
    assert.deepEqual(linesOf(elsewhere), linesOf(predictions));
    assert.match(
      await succeed(['evaluate', join(dataset, 'valid_texts.jsonl'), predictions]),
      /^r1 +[\d.]+\n/,
    );
  });
});

describe('checkpoint', () => {
  test('convert, inspect and strip keep the parameters', async () => {
    const folder = temporaryFolder();
    const [huggingFace, back, stripped] = [
      join(folder, 'hf'),
      join(folder, 'back.pt'),
      join(folder, 'stripped.pt'),
    ];
    const converted = await succeed(['checkpoint', 'convert', checkpoint, huggingFace, ...TINY_MODEL]);
    assert.equal(converted, `${huggingFace}: huggingface, which has no place for: optimizer, extra\n`);
    const config = JSON.parse(readFileSync(join(huggingFace, 'config.json'), 'utf8'));
    assert.deepEqual(
      [config.vision_config.num_attention_heads, config.text_config.num_attention_heads],
      [4, 4],
    );
    await succeed(['checkpoint', 'convert', huggingFace, back]);
    await succeed(['checkpoint', 'strip', checkpoint, stripped]);
    const original = await readCheckpoint(checkpoint);
    assert.ok(original.optimizer);
    for (const path of [back, stripped]) {
      const copy = await readCheckpoint(path);
      assert.equal(copy.optimizer, undefined);
      assert.deepEqual(new Set(copy.parameters.keys()), new Set(original.parameters.keys()));
      for (const [name, { data }] of original.parameters)
        assert.ok(sameBytes(copy.parameters.get(name)?.data, data), name);
    }
    assert.match(await succeed(['checkpoint', 'inspect', checkpoint]), /optimizer +lamb, \d+ updates/);
    const { parameterCount, tensors } = JSON.parse(
      await succeed(['checkpoint', 'inspect', stripped, '--json', '--tensors']),
    );
    assert.equal(tensors.length, original.parameters.size);
    assert.ok(parameterCount > 1e6);
  });

  test('the heads that shapes do not tell are asked for, and both towers', async () => {
    const to = join(temporaryFolder(), 'hf');
    const one = await cnclip(['checkpoint', 'convert', checkpoint, to, '--vision-model', 'ViT-B-16']);
    assert.deepEqual(
      [one.code, one.stderr],
      [2, 'cnclip: --vision-model, --text-model: one needs the other\n'],
    );
    const file = await cnclip(['checkpoint', 'inspect', join(dataset, 'valid_texts.jsonl')]);
    assert.notEqual(file.code, 0);
    assert.match(file.stderr, /^cnclip: .*valid_texts\.jsonl: [^\n]+\n$/);
  });
});

const sameBytes = (a: ArrayBufferView | undefined, b: ArrayBufferView): boolean =>
  a !== undefined && bytesOf(a).equals(bytesOf(b));
const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);
