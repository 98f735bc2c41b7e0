import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCheckpoint, writeCheckpoint } from '@online-cnclip/checkpoint';
import { writeTextsJsonl } from '@online-cnclip/dataset';
import { InvalidInputError, UnavailableError } from '@online-cnclip/foundation';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';
import type { Runtime } from '@online-cnclip/runtime';
import type { Recall } from '../ports.ts';
import { fakeRecall, fakeTraining } from '../testing/fake-training.ts';
import { adapt } from './adapt.ts';
import { parseAdaptOptions } from './adapt-options.ts';
import type { AdaptEvent } from './adapt-ports.ts';
import type { ImageSource } from './image-source.ts';

const goldens = fileURLToPath(new URL('../../../../../test/goldens', import.meta.url));
const GALLERY = join(goldens, 'dataset/lmdb/valid');
const PICTURE = readFileSync(join(goldens, 'preprocessing/exact-224.png'));
const TEXTS = ['红裙子', '蓝裙子', '黑 鞋', '白鞋', '空', '手提包', '帽子'];
const VISION = 'ViT-mini-8-48';
const TEXT = 'RoBERTa-mini-chinese';

const folder = mkdtempSync(join(tmpdir(), 'adapt-'));
const model = join(folder, 'start.pt');
const queries = join(folder, 'test_texts.jsonl');
const cacheFolder = join(folder, 'cache');

before(async () => {
  await writeCheckpoint(model, {
    epoch: 4,
    step: 100,
    name: 'offline',
    parameters: initializeParameters(resolveModelConfig(VISION, TEXT), 1),
  });
  await writeTextsJsonl(
    queries,
    TEXTS.map((text, i) => ({ textId: 10 + i, text, imageIds: [] })),
  );
  // 空 has no picture at all, 帽子 only the first.
  for (const text of TEXTS.filter((text) => text !== '空')) {
    const images = join(cacheFolder, 'test', text.replaceAll(' ', ''));
    await mkdir(images, { recursive: true });
    for (const number of text === '帽子' ? [1] : [1, 2])
      await writeFile(join(images, `${number}.jpg`), PICTURE);
  }
});
after(() => rm(folder, { recursive: true }));

/** The fake step needs no runtime. */
const runtime: Runtime = {
  name: 'onnxruntime',
  prepare: () => Promise.reject(new Error('the fake step prepares nothing')),
  dispose: async () => {},
};

let runs = 0;

interface Trial {
  readonly recalls?: readonly number[];
  readonly crawled?: ImageSource;
  readonly onEvent?: (event: AdaptEvent, stop: AbortController) => void;
}

async function run(given: Record<string, unknown> = {}, { recalls = [], crawled, onEvent }: Trial = {}) {
  const output = join(folder, `out-${runs++}`);
  const fake = fakeTraining();
  const stop = new AbortController();
  const events: AdaptEvent[] = [];
  const measured = [...recalls];
  const options = parseAdaptOptions({
    model,
    queries,
    output,
    textFeatures: join(output, 'features.jsonl'),
    onlineCache: crawled === undefined,
    cacheFolder,
    ...(crawled && { crawlerAddress: '127.0.0.1:1' }),
    maxEpochs: 2,
    batchSize: 3,
    contextLength: 12,
    numWorkers: 0,
    visionModel: VISION,
    textModel: TEXT,
    ...given,
  });
  const recall = {
    async recall(request: Parameters<ReturnType<typeof fakeRecall>['recall']>[0]): Promise<Recall> {
      return { ...(await fakeRecall().recall(request)), meanRecall: measured.shift() ?? 50 };
    },
  };
  const ports = {
    runtime,
    createTrainStep: fake.createTrainStep,
    recall,
    crawledImages: () => crawled as ImageSource,
  };
  const result = await adapt(options, ports, {
    signal: stop.signal,
    onEvent: (event) => {
      events.push(event);
      onEvent?.(event, stop);
    },
  });
  return { result, events, fake, output };
}

const onlineSteps = (events: readonly AdaptEvent[]) => events.filter(({ kind }) => kind === 'online-step');

test('steps on each batch of queries in each epoch; queries without an image are left out and counted', async () => {
  const { result, fake, events } = await run();
  assert.equal(result.outcome, 'completed');
  // 3 + 2 (空) + 1 in the first epoch; in the second 帽子 has no second picture, so that its batch has no step.
  assert.deepEqual(
    fake.steps.map(({ images }) => images[0]),
    [3, 2, 1, 3, 2],
  );
  assert.equal(onlineSteps(events).length, 6);
  assert.deepEqual(result.online, {
    ...result.online,
    scope: 'all',
    transductive: true,
    source: 'cache',
    steps: 5,
    queries: 14,
    pairs: 11,
    cached: 11,
    replayed: 0,
    leftOut: { 'fewer-images': 1, 'not-crawled': 2 },
  });
});

test("writes the research code's checkpoint, with the state that the optimizer really has, and all features", async () => {
  const { result, output } = await run();
  assert.equal(result.checkpoint, join(output, 'epoch4_online_2.pt'));
  const { epoch, step, name, optimizer, extra } = await readCheckpoint(result.checkpoint ?? '');
  assert.deepEqual({ epoch, step, name }, { epoch: 4, step: 106, name: 'offline' });
  assert.equal(optimizer?.step, 5);
  assert.equal(optimizer?.kind, 'lamb');
  assert.equal(extra?.['onlineScope'], 'all');
  const lines = readFileSync(join(output, 'features.jsonl'), 'utf8').trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).text_id),
    TEXTS.map((_, i) => 10 + i),
  );
  for (const line of lines) {
    const norm = Math.hypot(...(JSON.parse(line).feature as number[]));
    assert.ok(Math.abs(norm - 1) < 1e-5, `${norm}`);
  }
});

test('the same run again makes the same steps', async () => {
  const [first, second] = [await run(), await run()];
  assert.deepEqual(first.fake.steps, second.fake.steps);
});

test('exclude-scored never steps on a scored query, however it is written', async () => {
  const others = join(folder, 'others.jsonl');
  const texts = ['红 裙子', '白鞋！', '手提包', '围巾', '围巾', '雨伞'];
  await writeTextsJsonl(
    others,
    texts.map((text, i) => ({ textId: i, text, imageIds: [] })),
  );
  const asked: string[] = [];
  const crawled: ImageSource = {
    mode: 'crawl',
    async *images(wanted) {
      for (const { text } of wanted) {
        asked.push(text);
        yield { file: PICTURE, cached: false };
      }
    },
    close: async () => {},
  };
  const { result, output } = await run({ onlineScope: 'exclude-scored', onlineQueries: others }, { crawled });
  assert.deepEqual([...new Set(asked)], ['围巾', '雨伞']);
  assert.equal(result.online.transductive, false);
  assert.equal(result.online.cached, 0);
  assert.equal(
    readFileSync(join(output, 'features.jsonl'), 'utf8').trimEnd().split('\n').length,
    TEXTS.length,
  );
});

test('replays pairs of the training set beside the new ones', async () => {
  const { result, fake } = await run({ replayRatio: 1, trainData: GALLERY, maxEpochs: 1 });
  assert.deepEqual(
    fake.steps.map(({ images }) => images[0]),
    [6, 4, 2],
  );
  assert.equal(result.online.replayed, 6);
});

for (const [limit, recalls, passed] of [
  ['5', [50, 46], true],
  ['5', [50, 44], false],
  ['10%', [50, 45.5], true],
  ['10%', [50, 44], false],
  [undefined, [50, 0], true],
] as const)
  test(`gate-max-drop ${limit}: mean recall from ${recalls[0]} to ${recalls[1]} ${passed ? 'passes' : 'does not pass'}`, async () => {
    const { result, output, events } = await run({ gateData: GALLERY, gateMaxDrop: limit }, { recalls });
    assert.equal(result.outcome, passed ? 'completed' : 'rejected');
    assert.equal(result.gate?.passed, passed);
    assert.equal(result.gate?.before.meanRecall, recalls[0]);
    assert.equal(result.gate?.after.meanRecall, recalls[1]);
    assert.equal(existsSync(join(output, 'epoch4_online_2.pt')), passed);
    assert.equal(existsSync(join(output, 'features.jsonl')), passed);
    assert.equal(events.filter(({ kind }) => kind === 'gate').length, 1);
  });

test('stops after the step in hand and writes nothing', async () => {
  const { result, output } = await run(
    {},
    { onEvent: (event, stop) => event.kind === 'online-step' && event.step === 2 && stop.abort() },
  );
  assert.equal(result.outcome, 'stopped');
  assert.equal(result.step, 2);
  assert.deepEqual(await readdir(output).catch(() => []), []);
});

test('a source that does not work is an error of its own, and a damaged picture only a missing one', async () => {
  const source = (answers: (index: number) => { file: Uint8Array; cached: boolean }): ImageSource => ({
    mode: 'crawl',
    async *images(wanted) {
      let index = 0;
      for (const _ of wanted) yield answers(index++);
    },
    close: async () => {},
  });
  const damaged = source((i) => ({ file: i === 0 ? PICTURE.subarray(0, 600) : PICTURE, cached: false }));
  const { result } = await run({ maxEpochs: 1 }, { crawled: damaged });
  assert.deepEqual(result.online.leftOut, { 'damaged-image': 1 });
  const dead = source((i) => {
    if (i < 4) return { file: PICTURE, cached: false };
    throw new UnavailableError('the crawler is gone');
  });
  await assert.rejects(run({}, { crawled: dead }), UnavailableError);
});

test('each option that is no good is named with its value', () => {
  const good = { model, queries, maxEpochs: 1, onlineCache: true, cacheFolder };
  for (const [given, message] of [
    [{ maxEpochs: 0 }, /max-epochs: 0 is not valid: must be 1 or more/],
    [{ maxEpochs: 1.5 }, /max-epochs: 1.5 is not valid/],
    [{ maxEpochs: undefined }, /max-epochs: /],
    [{ onlineScope: 'some' }, /online-scope: "some" is not valid/],
    [{ replayRatio: -1 }, /replay-ratio: -1 is not valid/],
    [{ replayRatio: 1 }, /train-data: is required with replay-ratio 1/],
    [{ gateMaxDrop: 'much' }, /gate-max-drop: "much" is not valid: must be percentage points/],
    [{ gateMaxDrop: '120%' }, /gate-max-drop: "120%" is not valid/],
    [{ gateMaxDrop: 1 }, /gate-data: is required with gate-max-drop/],
    [{ onlineScope: 'exclude-scored' }, /online-queries: is required with online-scope exclude-scored/],
    [{ onlineQueries: 'x' }, /online-queries: goes with online-scope exclude-scored only/],
    [{ cacheFolder: 'none' }, /cache-folder: is required with online-cache/],
    [{ onlineCache: false }, /crawler-address: is required for online learning, or online-cache/],
    [{ imagesPerQuery: 101 }, /images-per-query: 101 is not valid/],
    [{ wings: 2 }, /wings: unknown option of online learning/],
  ] as const)
    assert.throws(
      () => parseAdaptOptions({ ...good, ...given }),
      (error: unknown) => {
        assert.ok(error instanceof InvalidInputError);
        assert.match(error.message, message);
        return true;
      },
    );
});
