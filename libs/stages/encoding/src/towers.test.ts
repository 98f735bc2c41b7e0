import assert from 'node:assert/strict';
import test from 'node:test';
import {
  CancelledError,
  DeadlineExceededError,
  InvalidInputError,
  ResourceExhaustedError,
  type TracedWork,
} from '@online-cnclip/foundation';
import { MAX_BATCH_TEXTS, MAX_QUEUED_IMAGES, MAX_TEXT_LENGTH, MIN_DECODED_AHEAD } from './limits.ts';
import { createFakeModel, type FakeTower, fakeTokenizer, fakeVector } from './testing.ts';
import type { TowerBatch } from './tower.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
async function untilRunning({ runs }: FakeTower): Promise<void> {
  while (runs.length === 0) await turn();
}
const textVector = (text: string) => fakeVector(fakeTokenizer.encodeTrimmed([text], 24).data);
const imageVector = (pixel: number) => fakeVector(new Array(12).fill(pixel));

test('each text gets its own vector, whatever it was batched with', async () => {
  const { model, textTower } = createFakeModel();
  const texts = Array.from({ length: 150 }, (_, index) =>
    'x'.repeat(index % 7).padStart(1 + (index % 20), 'y'),
  );
  const outcomes = await model.encodeTexts(texts);
  outcomes.forEach((outcome, index) => {
    assert.deepEqual(outcome, { ok: true, value: textVector(texts[index] ?? '') });
  });
  assert.ok(textTower.runs.every(([batch = 0]) => batch <= MAX_BATCH_TEXTS));
});

test('texts of several requests share a run while the tower is busy, padded to their own longest', async () => {
  const { model, textTower } = createFakeModel();
  const release = textTower.hold();
  const requests = [model.encodeTexts(['first'])];
  await untilRunning(textTower);
  requests.push(model.encodeTexts(['ab']), model.encodeTexts(['abc', 'a']));
  await turn();
  release();
  await Promise.all(requests);
  assert.deepEqual(textTower.runs, [
    [1, 7],
    [3, 5],
  ]);
});

test('a text that cannot be encoded does not fail its neighbours', async () => {
  const { model } = createFakeModel({ description: { vocabularySize: 200 } });
  const [good, tooLong, unknown, last] = await model.encodeTexts([
    'a',
    'x'.repeat(MAX_TEXT_LENGTH + 1),
    '中',
    'b',
  ]);
  assert.deepEqual(good, { ok: true, value: textVector('a') });
  assert.deepEqual(last, { ok: true, value: textVector('b') });
  assert.ok(!tooLong?.ok && tooLong?.error instanceof InvalidInputError);
  assert.ok(!unknown?.ok && unknown?.error instanceof InvalidInputError);
});

test('an image that cannot be decoded does not fail its neighbours', async () => {
  const { model } = createFakeModel();
  const files = [Uint8Array.of(1), new Uint8Array(), Uint8Array.of(2)];
  const [first, bad, last] = await model.encodeImages(files);
  assert.deepEqual(first, { ok: true, value: imageVector(1) });
  assert.deepEqual(last, { ok: true, value: imageVector(2) });
  assert.ok(!bad?.ok && bad?.error instanceof InvalidInputError);
});

test('images are computed in micro-batches, one at a time, with a bounded number decoded ahead', async () => {
  const { model, imageTower, decoder } = createFakeModel({ latencyMs: 1 });
  const files = Array.from({ length: 60 }, (_, index) => Uint8Array.of(index));
  const outcomes = await Promise.all([
    model.encodeImages(files.slice(0, 30)),
    model.encodeImages(files.slice(30)),
  ]);
  outcomes.flat().forEach((outcome, index) => {
    assert.deepEqual(outcome, { ok: true, value: imageVector(index) });
  });
  assert.ok(imageTower.runs.every(([batch = 0]) => batch <= 4));
  assert.equal(imageTower.mostAtOnce, 1);
  assert.equal(decoder.mostAtOnce, MIN_DECODED_AHEAD);
});

test('a request that does not fit in the queue is refused whole; others go on', async () => {
  const { model, imageTower } = createFakeModel();
  const release = imageTower.hold();
  const file = Uint8Array.of(1);
  const accepted = model.encodeImages(new Array(MAX_QUEUED_IMAGES - 1).fill(file));
  await turn();
  await assert.rejects(model.encodeImages([file, file]), ResourceExhaustedError);
  const last = model.encodeImages([file]);
  assert.equal(model.images.queued, MAX_QUEUED_IMAGES);
  release();
  assert.ok((await Promise.all([accepted, last])).flat().every(({ ok }) => ok));
  assert.equal(model.images.queued, 0);
});

test('a cancelled request rejects at once, frees its places, and leaves others their turn', async () => {
  const { model, imageTower } = createFakeModel();
  const release = imageTower.hold();
  const controller = new AbortController();
  const cancelled = model.encodeImages(new Array(100).fill(Uint8Array.of(1)), controller.signal);
  const kept = model.encodeImages([Uint8Array.of(2)]);
  await turn();
  await turn();
  controller.abort();
  await assert.rejects(cancelled, CancelledError);
  assert.equal(model.images.queued, 1);
  release();
  assert.deepEqual(await kept, [{ ok: true, value: imageVector(2) }]);
  const computed = imageTower.runs.reduce((sum, [batch = 0]) => sum + batch, 0);
  assert.ok(computed <= 5, `${computed} images computed`);
});

test('a deadline that passes while waiting is the error of the whole request', async () => {
  const { model, textTower } = createFakeModel();
  const release = textTower.hold();
  const first = model.encodeTexts(['a']);
  await untilRunning(textTower);
  await assert.rejects(model.encodeTexts(['b', 'c'], AbortSignal.timeout(5)), DeadlineExceededError);
  release();
  await first;
  assert.deepEqual(
    textTower.runs.map(([batch]) => batch),
    [1],
  );
});

test('a failing run is an error of its items, and the tower goes on', async () => {
  const { model, textTower } = createFakeModel();
  textTower.failure = new Error('out of memory');
  const [outcome] = await model.encodeTexts(['a']);
  assert.ok(!outcome?.ok && outcome?.error.message === 'out of memory');
  textTower.failure = undefined;
  assert.ok((await model.encodeTexts(['a']))[0]?.ok);
});

test('tokenize gives ids without padding and refuses a senseless context length', async () => {
  const { model } = createFakeModel();
  assert.deepEqual(await model.tokenize(['ab', '']), [
    { ok: true, value: Int32Array.of(101, 97, 98, 102) },
    { ok: true, value: Int32Array.of(101, 102) },
  ]);
  assert.deepEqual((await model.tokenize(['abcdef'], 4))[0], {
    ok: true,
    value: Int32Array.of(101, 97, 98, 102),
  });
  await assert.rejects(model.tokenize(['a'], 2), InvalidInputError);
  await assert.rejects(model.tokenize(['a'], 513), InvalidInputError);
});

test('a large request is tokenized in slices, so that others get their turn', async () => {
  const { model } = createFakeModel();
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const outcomes = await model.tokenize(new Array(200).fill('字'.repeat(MAX_TEXT_LENGTH)));
  clearInterval(timer);
  assert.equal(outcomes.length, 200);
  assert.ok(turns > 5, `${turns} turns`);
});

test('verify accepts a sound model and refuses one of another width', async () => {
  await createFakeModel().model.verify();
  const other = createFakeModel({ description: { embeddingDimension: 5 } });
  await assert.rejects(other.model.verify(), /gives a vector of 4 numbers/);
});

test('a traced call is told of its wait and of the run that it shared, once each however many texts it has', async () => {
  const noted: { name: string; items: unknown; inOrder: boolean }[][] = [];
  const traceOfCall = () => {
    const own: (typeof noted)[number] = [];
    noted.push(own);
    return ({ name, startedAt, endedAt, attributes }: TracedWork) =>
      void own.push({ name, items: attributes?.items, inOrder: startedAt <= endedAt });
  };
  const { model, textTower } = createFakeModel({ observers: { traceOfCall } });
  const release = textTower.hold();
  const first = model.encodeTexts(['first']);
  await untilRunning(textTower);
  const others = [model.encodeTexts(['ab', 'ac']), model.encodeTexts(['abc', 'a'])];
  await turn();
  release();
  await Promise.all([first, ...others]);
  const told = (items: number) => [
    { name: 'batch wait', items: undefined, inOrder: true },
    { name: 'compute', items, inOrder: true },
  ];
  assert.deepEqual(noted, [told(1), told(4), told(4)]);
});

test('each batch tells what it computed for padding', async () => {
  const batches: TowerBatch[] = [];
  const { model } = createFakeModel({ observers: { onBatch: (_, batch) => void batches.push(batch) } });
  await model.encodeTexts(['a', 'abc']);
  assert.deepEqual(
    batches.map(({ items, tokens, paddingTokens }) => ({ items, tokens, paddingTokens })),
    [{ items: 2, tokens: 8, paddingTokens: 2 }],
  );
});
