import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FailedPreconditionError } from '@online-cnclip/foundation';
import type { EncoderModel } from './encoder-model.ts';
import { ModelSlot } from './model-slot.ts';
import { createFakeModel } from './testing.ts';

test('an empty slot says so', async () => {
  await assert.rejects(
    new ModelSlot<EncoderModel>().use(async () => 1),
    FailedPreconditionError,
  );
});

test('calls under way finish with the old model, which is disposed only then', async () => {
  const slot = new ModelSlot<EncoderModel>();
  const [old, next] = [createFakeModel(), createFakeModel()];
  await slot.replace(old.model);
  const release = old.textTower.hold();
  const underWay = slot.use((model) => model.encodeTexts(['a']));
  const replaced = slot.replace(next.model);
  assert.equal(slot.current, next.model);
  await slot.use((model) => model.encodeTexts(['b']));
  assert.equal(next.textTower.runs.length, 1);
  assert.equal(old.textTower.disposed, false);
  release();
  assert.ok((await underWay)[0]?.ok);
  await replaced;
  assert.ok(old.textTower.disposed && old.imageTower.disposed && old.decoder.disposed);
});

test('a failing call gives its hold back', async () => {
  const slot = new ModelSlot<EncoderModel>();
  const { model, textTower } = createFakeModel();
  await slot.replace(model);
  await assert.rejects(slot.use(async () => Promise.reject(new Error('no'))));
  await slot.replace(undefined);
  assert.ok(textTower.disposed);
});

test('swapping under load drops nothing', async () => {
  const slot = new ModelSlot<EncoderModel>();
  const models = Array.from({ length: 4 }, () => createFakeModel({ latencyMs: 1 }));
  await slot.replace(models[0]?.model);
  let stop = false;
  let answered = 0;
  const client = async (): Promise<void> => {
    while (!stop) {
      const outcomes = await slot.use((model) => model.encodeTexts(['a', 'bc']));
      assert.ok(outcomes.every(({ ok }) => ok));
      answered += 1;
    }
  };
  const clients = Array.from({ length: 8 }, client);
  for (const { model } of models.slice(1)) {
    await sleep(5);
    await slot.replace(model);
  }
  stop = true;
  await Promise.all(clients);
  assert.ok(answered > 8);
  assert.deepEqual(
    models.map(({ textTower }) => textTower.disposed),
    [true, true, true, false],
  );
});
