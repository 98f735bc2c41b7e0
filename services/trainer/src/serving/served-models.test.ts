import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EncoderClient } from '@online-cnclip/client';
import { Model } from '@online-cnclip/contracts/encoder/v1';
import { DataLossError, FailedPreconditionError, NotFoundError } from '@online-cnclip/foundation';
import { type ServedModel, ServedModels } from './served-models.ts';

const newPath = () => join(mkdtempSync(join(tmpdir(), 'served-')), 'served_models.json');
const model = (checkpointPath: string): ServedModel => ({
  checkpointPath,
  visionModel: 'ViT-mini-8-48',
  textModel: 'RoBERTa-mini-chinese',
  contextLength: 24,
});

/** An encoder that has what it is told to load, unless that is called "missing". */
function fakeEncoder(loaded: string | undefined) {
  let current = loaded === undefined ? undefined : Model.fromPartial(model(loaded));
  const client = {
    async getModel() {
      if (!current) throw new FailedPreconditionError('no model is loaded');
      return { model: current, limits: undefined };
    },
    async loadModel(request: ServedModel) {
      if (request.checkpointPath === 'missing') throw new NotFoundError('no such file');
      current = Model.fromPartial(request);
      return { model: current };
    },
    close() {},
  } as unknown as EncoderClient;
  return { client, path: () => current?.checkpointPath };
}

test('goes back step by step to what was served before, across restarts', async () => {
  const [encoder, path] = [fakeEncoder('first'), newPath()];
  const served = new ServedModels(encoder.client, path);
  await served.serve(model('second'));
  await served.serve(model('third'));
  const restarted = new ServedModels(encoder.client, path);
  assert.deepEqual(await restarted.rollBack(), {
    checkpointPath: 'second',
    replacedCheckpointPath: 'third',
  });
  assert.equal(encoder.path(), 'second');
  await restarted.rollBack();
  assert.equal(encoder.path(), 'first');
  await assert.rejects(restarted.rollBack(), FailedPreconditionError);
  assert.equal(encoder.path(), 'first');
});

test('a checkpoint that the encoder does not take changes nothing', async () => {
  const encoder = fakeEncoder('first');
  const served = new ServedModels(encoder.client, newPath());
  await assert.rejects(served.serve(model('missing')), NotFoundError);
  assert.equal(encoder.path(), 'first');
  await assert.rejects(served.rollBack(), FailedPreconditionError);
});

test('an encoder without a model leaves nothing to go back to', async () => {
  const served = new ServedModels(fakeEncoder(undefined).client, newPath());
  await served.serve(model('first'));
  await assert.rejects(served.rollBack(), FailedPreconditionError);
});

test('a damaged memory is named', async () => {
  const path = newPath();
  writeFileSync(path, '{');
  await assert.rejects(new ServedModels(fakeEncoder('first').client, path).rollBack(), DataLossError);
});
