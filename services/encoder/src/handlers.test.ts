import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { createEncoderClient } from '@online-cnclip/client';
import { fromVector, MAX_BATCH_ITEMS } from '@online-cnclip/contracts';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import {
  type EncodeRequest,
  type EncodeResponse,
  EncoderServiceService,
} from '@online-cnclip/contracts/encoder/v1';
import { MAX_TEXT_LENGTH, ModelHost } from '@online-cnclip/encoding';
import { createFakeModel, type FakeModel, fakeTokenizer, fakeVector } from '@online-cnclip/encoding/testing';
import {
  AbortedError,
  CancelledError,
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  ResourceExhaustedError,
  silentLogger,
} from '@online-cnclip/foundation';
import { createService, implement } from '@online-cnclip/service-kit';
import { createHandlers } from './handlers.ts';

const FLOATS = VectorFormat.VECTOR_FORMAT_FLOATS;
const BYTES = VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN;
const MAX_MESSAGE_BYTES = 1024 * 1024;

const folder = await mkdtemp(join(tmpdir(), 'encoder-'));
after(() => rm(folder, { recursive: true }));
for (const name of ['a.pt', 'b.pt', 'broken.pt']) await writeFile(join(folder, name), name);

/** The service on a real socket, its model made of fakes: the fingerprint is the checkpoint's name. */
async function serve(context: TestContext, options: { load?: string; latencyMs?: number } = {}) {
  const fakes: FakeModel[] = [];
  const host = new ModelHost({
    dataFolder: folder,
    contextLength: 24,
    logger: silentLogger,
    load: async ({ checkpointPath, visionModel, textModel, contextLength }) => {
      const description = {
        checkpointPath,
        visionModel,
        textModel,
        contextLength,
        fingerprint: checkpointPath,
      };
      const fake = createFakeModel({ latencyMs: options.latencyMs ?? 0, description });
      if (checkpointPath === 'broken.pt')
        fake.textTower.failure = new InvalidInputError('is not a checkpoint');
      fakes.push(fake);
      return fake.model;
    },
  });
  const { load = 'a.pt' } = options;
  if (load) await host.load({ checkpointPath: load, visionModel: 'v', textModel: 't' });
  const handlers = createHandlers({
    host,
    limits: { maxMessageBytes: MAX_MESSAGE_BYTES, maxImageBytes: 1000, maxImagePixels: 2000 },
  });
  const service = createService({
    name: 'encoder',
    implementations: [implement(EncoderServiceService, handlers)],
    logger: silentLogger,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    drainTimeoutMs: 2_000,
  });
  const client = createEncoderClient(await service.listen('127.0.0.1:0'));
  context.after(async () => {
    client.close();
    await service.close();
    await host.close();
  });
  return { client, host, service, fakes, fake: fakes[0] as FakeModel };
}

const textVector = (text: string) => fakeVector(fakeTokenizer.encodeTrimmed([text], 24).data);
const imageVector = (pixel: number) => fakeVector(new Array(12).fill(pixel));
const textItem = (id: number, text: string): EncodeRequest => ({
  itemId: BigInt(id),
  item: { $case: 'text', value: text },
  vectorFormat: BYTES,
});

async function collect(responses: AsyncIterable<EncodeResponse>): Promise<EncodeResponse[]> {
  const all: EncodeResponse[] = [];
  for await (const response of responses) all.push(response);
  return all;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

test('without a model every method says so, and one can be loaded', async (t) => {
  const { client } = await serve(t, { load: '' });
  const texts = { texts: ['a'], vectorFormat: FLOATS };
  await assert.rejects(client.getModel({}), FailedPreconditionError);
  await assert.rejects(client.encodeText(texts), /no model loaded/);
  await assert.rejects(client.encodeImage({ images: [], vectorFormat: FLOATS }), FailedPreconditionError);
  await assert.rejects(client.tokenize({ texts: [], contextLength: 0 }), FailedPreconditionError);
  await assert.rejects(collect(client.encode([])), FailedPreconditionError);
  const request = { checkpointPath: 'b.pt', visionModel: 'v', textModel: 't', contextLength: 0 };
  assert.equal((await client.loadModel(request)).model?.checkpointPath, 'b.pt');
  assert.equal((await client.encodeText(texts)).modelFingerprint, 'b.pt');
});

test('GetModel tells the model and the limits', async (t) => {
  const { client, host } = await serve(t);
  const { model, limits } = await client.getModel({});
  assert.equal(model?.fingerprint, 'a.pt');
  assert.equal(model?.embeddingDimension, 4);
  assert.equal(model?.contextLength, 24);
  assert.deepEqual(model?.loadTime, host.current.loadedAt);
  assert.equal(limits?.maxBatchItems, MAX_BATCH_ITEMS);
  assert.equal(limits?.maxMessageBytes, BigInt(MAX_MESSAGE_BYTES));
});

test('Tokenize gives padded ids, with a status per text', async (t) => {
  const { client } = await serve(t);
  const request = { texts: ['ab', 'x'.repeat(MAX_TEXT_LENGTH + 1)], contextLength: 6 };
  const [good, bad] = (await client.tokenize(request)).texts;
  assert.deepEqual(good, {
    status: { code: status.OK, message: '' },
    ids: [101, 97, 98, 102, 0, 0],
    length: 4,
  });
  assert.equal(bad?.status?.code, status.INVALID_ARGUMENT);
  const byDefault = await client.tokenize({ texts: ['a'], contextLength: 0 });
  assert.equal(byDefault.texts[0]?.ids.length, 24);
  await assert.rejects(client.tokenize({ texts: ['a'], contextLength: 1000 }), InvalidInputError);
});

test('texts come back in order, as floats and as bytes', async (t) => {
  const { client } = await serve(t);
  const texts = Array.from({ length: 100 }, (_, index) => 'x'.repeat(index % 15));
  for (const vectorFormat of [FLOATS, BYTES, VectorFormat.VECTOR_FORMAT_UNSPECIFIED]) {
    const { embeddings, modelFingerprint } = await client.encodeText({ texts, vectorFormat });
    assert.equal(modelFingerprint, 'a.pt');
    embeddings.forEach(({ status: item, vector }, index) => {
      assert.equal(item?.code, status.OK);
      assert.equal((vector?.values.length ?? 0) > 0, vectorFormat !== BYTES);
      assert.deepEqual(vector && fromVector(vector, 'vector'), textVector(texts[index] ?? ''));
    });
  }
});

test('a bad image has its own status and does not fail its neighbours', async (t) => {
  const { client } = await serve(t);
  const images = [Buffer.of(7), Buffer.alloc(0), Buffer.of(9)];
  const { embeddings } = await client.encodeImage({ images, vectorFormat: FLOATS });
  assert.deepEqual(
    embeddings.map(({ status: item }) => item?.code),
    [status.OK, status.INVALID_ARGUMENT, status.OK],
  );
  assert.match(embeddings[1]?.status?.message ?? '', /empty/);
  assert.equal(embeddings[1]?.vector, undefined);
  assert.deepEqual(Float32Array.from(embeddings[2]?.vector?.values ?? []), imageVector(9));
});

test('a defect is INTERNAL for its item, without its text', async (t) => {
  const { client, fake } = await serve(t);
  fake.textTower.failure = new TypeError('secret detail');
  const { embeddings } = await client.encodeText({ texts: ['a'], vectorFormat: FLOATS });
  assert.equal(embeddings[0]?.status?.code, status.INTERNAL);
  assert.doesNotMatch(embeddings[0]?.status?.message ?? '', /secret/);
});

test('calls of several clients are computed in one run while the tower is busy', async (t) => {
  const { client, fake } = await serve(t);
  const runs = fake.textTower.runs.length;
  const release = fake.textTower.hold();
  const calls = [client.encodeText({ texts: ['first'], vectorFormat: BYTES })];
  await until(() => fake.textTower.runs.length === runs + 1);
  for (let call = 0; call < 10; call++)
    calls.push(client.encodeText({ texts: ['next'], vectorFormat: BYTES }));
  await until(() => fake.model.texts.queued === 11);
  release();
  await Promise.all(calls);
  assert.deepEqual(
    fake.textTower.runs.slice(runs).map(([batch]) => batch),
    [1, 10],
  );
});

test('limits: too many items, a full queue, too large a message', async (t) => {
  const { client, fake } = await serve(t);
  const many = { images: new Array(MAX_BATCH_ITEMS + 1).fill(Buffer.of(1)), vectorFormat: BYTES };
  await assert.rejects(client.encodeImage(many), ResourceExhaustedError);
  const tooLarge = { images: [Buffer.alloc(MAX_MESSAGE_BYTES)], vectorFormat: BYTES };
  await assert.rejects(client.encodeImage(tooLarge), ResourceExhaustedError);
  const release = fake.imageTower.hold();
  const full = { images: new Array(MAX_BATCH_ITEMS).fill(Buffer.of(1)), vectorFormat: BYTES };
  const accepted = [client.encodeImage(full), client.encodeImage(full)];
  await until(() => fake.model.images.queued === 2 * MAX_BATCH_ITEMS);
  await assert.rejects(client.encodeImage({ images: [Buffer.of(1)], vectorFormat: BYTES }), /queue is full/);
  release();
  for (const { embeddings } of await Promise.all(accepted)) assert.equal(embeddings.length, MAX_BATCH_ITEMS);
});

test('cancelled and late calls leave the queue before they are computed', async (t) => {
  const { client, fake } = await serve(t);
  const runs = fake.textTower.runs.length;
  const release = fake.textTower.hold();
  const first = client.encodeText({ texts: ['first'], vectorFormat: BYTES });
  await until(() => fake.textTower.runs.length === runs + 1);
  const controller = new AbortController();
  const cancelled = client.encodeText(
    { texts: ['b', 'c'], vectorFormat: BYTES },
    { signal: controller.signal },
  );
  const late = client.encodeText({ texts: ['d'], vectorFormat: BYTES }, { timeoutMs: 100 });
  const rejections = [assert.rejects(cancelled, CancelledError), assert.rejects(late, DeadlineExceededError)];
  await until(() => fake.model.texts.queued === 4);
  controller.abort();
  await Promise.all(rejections);
  await until(() => fake.model.texts.queued === 1);
  release();
  await first;
  assert.deepEqual(
    fake.textTower.runs.slice(runs).map(([batch]) => batch),
    [1],
  );
});

test('a stream answers every item once, each with its own status', async (t) => {
  const { client } = await serve(t);
  async function* items(): AsyncGenerator<EncodeRequest> {
    for (let id = 0; id < 300; id++) yield textItem(id, 'x'.repeat(id % 9));
    yield { itemId: -1n, item: undefined, vectorFormat: FLOATS };
    yield { itemId: -2n, item: { $case: 'image', value: Buffer.alloc(0) }, vectorFormat: FLOATS };
    yield { itemId: -3n, item: { $case: 'image', value: Buffer.of(5) }, vectorFormat: FLOATS };
  }
  const responses = new Map((await collect(client.encode(items()))).map((one) => [one.itemId, one]));
  assert.equal(responses.size, 303);
  for (let id = 0; id < 300; id++) {
    const { embedding, modelFingerprint } = responses.get(BigInt(id)) as EncodeResponse;
    assert.equal(modelFingerprint, 'a.pt');
    assert.deepEqual(
      embedding?.vector && fromVector(embedding.vector, 'vector'),
      textVector('x'.repeat(id % 9)),
    );
  }
  assert.equal(responses.get(-1n)?.embedding?.status?.code, status.INVALID_ARGUMENT);
  assert.equal(responses.get(-2n)?.embedding?.status?.code, status.INVALID_ARGUMENT);
  assert.equal(responses.get(-3n)?.embedding?.status?.code, status.OK);
});

test('a stream whose answers nobody computes stops taking items', async (t) => {
  const { client, fake } = await serve(t);
  const release = fake.textTower.hold();
  const items = Array.from({ length: 2_000 }, (_, id) => textItem(id, 'a'));
  const responses = collect(client.encode(items));
  await until(() => fake.model.texts.queued === 256);
  await sleep(100);
  assert.equal(fake.model.texts.queued, 256, 'no more were taken');
  release();
  assert.equal((await responses).length, 2_000);
});

test('swapping models under load drops no call, and each answer names its model', async (t) => {
  const { client, fakes } = await serve(t, { latencyMs: 1 });
  const seen = new Set<string>();
  let stop = false;
  const caller = async (): Promise<void> => {
    while (!stop) {
      const { embeddings, modelFingerprint } = await client.encodeText({
        texts: ['a', 'bc'],
        vectorFormat: BYTES,
      });
      assert.ok(embeddings.every(({ status: item }) => item?.code === status.OK));
      seen.add(modelFingerprint);
    }
  };
  async function* items(): AsyncGenerator<EncodeRequest> {
    for (let id = 0; !stop; id++) {
      yield textItem(id, 'a');
      if (id % 50 === 0) await sleep(1);
    }
  }
  const stream = collect(client.encode(items()));
  const callers = Array.from({ length: 8 }, caller);
  for (const checkpointPath of ['b.pt', 'a.pt', 'b.pt']) {
    await sleep(30);
    await client.loadModel({ checkpointPath, visionModel: '', textModel: '', contextLength: 0 });
  }
  await sleep(30);
  stop = true;
  await Promise.all(callers);
  const answers = await stream;
  assert.ok(answers.every(({ embedding }) => embedding?.status?.code === status.OK));
  assert.deepEqual([...seen].sort(), ['a.pt', 'b.pt']);
  await until(() => fakes.slice(0, -1).every(({ textTower }) => textTower.disposed));
  assert.ok(!fakes.at(-1)?.textTower.disposed);
});

test('LoadModel refuses what it cannot load and keeps the old model', async (t) => {
  const { client, fakes } = await serve(t);
  const request = { checkpointPath: 'missing.pt', visionModel: '', textModel: '', contextLength: 0 };
  await assert.rejects(client.loadModel(request), NotFoundError);
  await assert.rejects(client.loadModel({ ...request, checkpointPath: '../x.pt' }), InvalidInputError);
  await assert.rejects(client.loadModel({ ...request, checkpointPath: 'broken.pt' }), InvalidInputError);
  assert.equal((await client.getModel({})).model?.fingerprint, 'a.pt');
  assert.ok(fakes[1]?.textTower.disposed);
});

test('two LoadModel at once: the second is told to come back', async (t) => {
  const { client } = await serve(t, { latencyMs: 30 });
  const request = { checkpointPath: 'b.pt', visionModel: '', textModel: '', contextLength: 0 };
  const results = await Promise.allSettled([client.loadModel(request), client.loadModel(request)]);
  const rejected = results.filter((result) => result.status === 'rejected');
  assert.equal(rejected.length, 1);
  assert.ok(rejected[0]?.reason instanceof AbortedError);
});

test('draining finishes what was accepted', async (t) => {
  const { client, fake, service } = await serve(t);
  const release = fake.textTower.hold();
  const accepted = client.encodeText({ texts: ['a'], vectorFormat: BYTES });
  await until(() => fake.model.texts.queued === 1);
  const closing = service.close();
  await sleep(10);
  release();
  assert.equal((await accepted).embeddings[0]?.status?.code, status.OK);
  await closing;
});
