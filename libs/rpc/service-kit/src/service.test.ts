import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { createEncoderClient, type EncoderClient } from '@online-cnclip/client';
import { errorOfItem, ITEM_OK, RemoteError } from '@online-cnclip/contracts';
import {
  EncodeRequest,
  EncoderServiceService,
  EncodeTextRequest,
  LoadModelRequest,
  TokenizeRequest,
} from '@online-cnclip/contracts/encoder/v1';
import {
  AlreadyExistsError,
  ApplicationError,
  CancelledError,
  createLogger,
  DeadlineExceededError,
  InvalidInputError,
  ResourceExhaustedError,
  silentLogger,
  throwIfAborted,
  UnavailableError,
} from '@online-cnclip/foundation';
import {
  createService,
  type Handlers,
  implement,
  itemStatus,
  RPC_TELEMETRY,
  type Service,
  type ServiceOptions,
} from './index.ts';

type EncoderHandlers = Handlers<typeof EncoderServiceService>;

const unused = async (): Promise<never> => {
  throw new Error('not part of this test');
};

/** An encoder that embeds nothing: each test gives the methods it is about. */
const handlersOf = (handlers: Partial<EncoderHandlers>): EncoderHandlers => ({
  getModel: unused,
  tokenize: unused,
  encodeText: unused,
  encodeImage: unused,
  // biome-ignore lint/correctness/useYield: a stream that fails at once
  encode: async function* () {
    await unused();
  },
  loadModel: unused,
  ...handlers,
});

const open: { service: Service; client: EncoderClient }[] = [];
after(async () => {
  for (const { client } of open) client.close();
  await Promise.all(open.map(({ service }) => service.close()));
});

async function start(handlers: Partial<EncoderHandlers>, options: Partial<ServiceOptions> = {}) {
  const service = createService({
    name: 'encoder',
    logger: silentLogger,
    drainTimeoutMs: 300,
    implementations: [implement(EncoderServiceService, handlersOf(handlers))],
    ...options,
  });
  const address = await service.listen('127.0.0.1:0');
  const client = createEncoderClient(address);
  open.push({ service, client });
  return { service, client, address };
}

const texts = (...all: string[]) => EncodeTextRequest.fromPartial({ texts: all });
const noEmbeddings = { embeddings: [], modelFingerprint: 'f' };

test('a response, and each item of it with its own status', async () => {
  const { client } = await start({
    encodeText: async ({ texts }, context) => ({
      modelFingerprint: context.method,
      embeddings: texts.map((text) => ({
        vector: undefined,
        status: itemStatus(
          text === '' ? new InvalidInputError('is empty', { place: 'texts[1]' }) : undefined,
          context,
        ),
      })),
    }),
  });
  const { embeddings, modelFingerprint } = await client.encodeText(texts('猫', ''));
  assert.equal(modelFingerprint, 'onlinecnclip.encoder.v1.EncoderService/EncodeText');
  assert.deepEqual(embeddings[0]?.status, ITEM_OK);
  const error = errorOfItem(embeddings[1]?.status);
  assert.ok(error instanceof InvalidInputError);
  assert.equal(error.message, 'texts[1]: is empty');
});

test('the deadline aborts the handler with the reason, and rejects the call', async () => {
  const aborted = Promise.withResolvers<unknown>();
  const { client } = await start({
    encodeText: async (_request, { signal, deadline }) => {
      assert.ok(deadline && deadline.getTime() - Date.now() <= 100);
      await once(signal, 'abort');
      aborted.resolve(signal.reason);
      throwIfAborted(signal);
      return noEmbeddings;
    },
  });
  await assert.rejects(client.encodeText(texts(), { timeoutMs: 100 }), DeadlineExceededError);
  assert.ok((await aborted.promise) instanceof DeadlineExceededError);
});

test('cancelling reaches the handler, of streams too', async () => {
  const reasons: unknown[] = [];
  const { client } = await start({
    encodeText: async (_request, { signal }) => {
      await once(signal, 'abort');
      reasons.push(signal.reason);
      return noEmbeddings;
    },
    encode: async function* (requests, { signal }) {
      try {
        for await (const { itemId } of requests) yield { itemId, embedding: undefined, modelFingerprint: '' };
      } catch (error) {
        reasons.push(error, signal.reason);
        throw error;
      }
    },
  });
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(client.encodeText(texts(), { signal: controller.signal }), CancelledError);
  async function* endless() {
    yield EncodeRequest.fromPartial({ itemId: 1n });
    await sleep(60_000, undefined, { ref: false });
  }
  for await (const { itemId } of client.encode(endless())) {
    assert.equal(itemId, 1n);
    break;
  }
  for (let i = 0; i < 400 && reasons.length < 3; i++) await sleep(5);
  assert.equal(reasons.length, 3);
  for (const reason of reasons) assert.ok(reason instanceof CancelledError, String(reason));
});

test('errors keep their class and text; a defect shows an id and logs its cause', async () => {
  const lines: string[] = [];
  const audited: string[] = [];
  const { client } = await start(
    {
      loadModel: async ({ checkpointPath }) => {
        if (checkpointPath === 'defect') throw new TypeError('secret /path');
        throw new AlreadyExistsError(`半个 ${checkpointPath} \ud800`, { place: 'checkpoint_path' });
      },
    },
    {
      logger: createLogger('encoder', 'info', {
        write: (line: string) => (JSON.parse(line).audit ? audited : lines).push(line),
      }),
    },
  );
  const load = (checkpointPath: string, metadata = new Metadata()) =>
    client.loadModel(LoadModelRequest.fromPartial({ checkpointPath }), { metadata, requestId: 'r-1' });
  await assert.rejects(load('字'.repeat(5000)), (error: unknown) => {
    assert.ok(error instanceof AlreadyExistsError);
    assert.match(error.message, /^checkpoint_path: 半个 字+…$/);
    return true;
  });
  await assert.rejects(load('a'), { message: 'checkpoint_path: 半个 a \ufffd' });
  assert.deepEqual(lines, []);
  await assert.rejects(load('defect'), (error: unknown) => {
    assert.ok(error instanceof RemoteError);
    assert.doesNotMatch(error.message, /secret/);
    const line = JSON.parse(lines[0] ?? '');
    assert.ok(error.message.includes(line.errorId));
    assert.equal(line.err.message, 'secret /path');
    assert.equal(line.requestId, 'r-1');
    assert.match(line.method, /LoadModel$/);
    return true;
  });
  // Also with plain text, where nobody says who they are.
  assert.deepEqual(
    audited.map((line) => {
      const { who, role, method, requestId, outcome } = JSON.parse(line);
      return [who, role, method.split('/')[1], requestId, outcome];
    }),
    ['ALREADY_EXISTS', 'ALREADY_EXISTS', 'INTERNAL'].map((code) => [null, null, 'LoadModel', 'r-1', code]),
  );
});

test('a message over the limit is refused, the next one is not', async () => {
  const { client } = await start({ encodeText: async () => noEmbeddings }, { maxMessageBytes: 1000 });
  await assert.rejects(client.encodeText(texts('x'.repeat(2000))), ResourceExhaustedError);
  assert.deepEqual(await client.encodeText(texts('x'.repeat(500))), noEmbeddings);
});

test('bytes that are no message are INVALID_ARGUMENT, a response that cannot be written is logged', async () => {
  const lines: string[] = [];
  const { client, address } = await start(
    {
      encodeText: async () => undefined as never,
      encode: async function* (requests) {
        for await (const { itemId } of requests) yield { itemId, embedding: undefined, modelFingerprint: '' };
      },
    },
    { logger: createLogger('encoder', 'info', { write: (line: string) => lines.push(line) }) },
  );
  const raw = new Client(address, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  const garbage = Buffer.from([0x0a, 0x7f, 0x01]); // a field of 127 bytes, of which there is one
  const unary = Promise.withResolvers<void>();
  const respond = (error: unknown) => (error ? unary.reject(error) : unary.resolve());
  raw.makeUnaryRequest(EncoderServiceService.tokenize.path, same, same, garbage, respond);
  await assert.rejects(unary.promise, { code: status.INVALID_ARGUMENT });
  const stream = raw.makeBidiStreamRequest(EncoderServiceService.encode.path, same, same);
  stream.end(garbage);
  await assert.rejects(once(stream, 'data'), { code: status.INVALID_ARGUMENT });
  raw.close();
  assert.deepEqual(lines, []);
  await assert.rejects(client.encodeText(texts()), RemoteError);
  assert.match(lines[0] ?? '', /cannot be written/);
});

test('a stream is read and written only as fast as the client takes it', async () => {
  let read = 0;
  const { client } = await start({
    encode: async function* (requests) {
      for await (const { itemId } of requests) {
        read++;
        yield { itemId, embedding: undefined, modelFingerprint: 'x'.repeat(50_000) };
      }
    },
  });
  let asked = 0;
  const count = 400;
  async function* many() {
    for (; asked < count; asked++)
      yield EncodeRequest.fromPartial({
        itemId: BigInt(asked),
        item: { $case: 'text', value: 'x'.repeat(50_000) },
      });
  }
  const answers = client.encode(many());
  await answers.next();
  await sleep(300);
  assert.ok(read < count / 4, `the service read ${read} messages with nobody taking the answers`);
  assert.ok(asked < count / 2, `the client asked for ${asked} requests`);
  let last = 0n;
  for await (const { itemId } of answers) last = itemId;
  assert.equal(last, BigInt(count - 1));
});

test('close finishes accepted calls, refuses new ones, and says NOT_SERVING first', async () => {
  const proceed = Promise.withResolvers<void>();
  const accepted = Promise.withResolvers<void>();
  const { service, client } = await start(
    {
      encodeText: async () => {
        accepted.resolve();
        await proceed.promise;
        return noEmbeddings;
      },
      tokenize: async () => ({ texts: [] }),
    },
    { drainTimeoutMs: 5_000 },
  );
  service.health.setServing(true);
  const slow = client.encodeText(texts());
  await accepted.promise;
  const closed = service.close();
  assert.equal(service.health.serving, false);
  service.health.setServing(true);
  assert.equal(service.health.serving, false);
  await assert.rejects(client.tokenize(TokenizeRequest.fromPartial({})), UnavailableError);
  proceed.resolve();
  assert.deepEqual(await slow, noEmbeddings);
  await closed;
  await assert.rejects(client.tokenize(TokenizeRequest.fromPartial({})), UnavailableError);
});

test('close answers what a stream had accepted, then ends it with UNAVAILABLE', async () => {
  const { service, client } = await start({
    encode: async function* (requests) {
      for await (const { itemId } of requests) {
        await sleep(30);
        yield { itemId, embedding: undefined, modelFingerprint: '' };
      }
    },
  });
  async function* oneThenIdle() {
    yield EncodeRequest.fromPartial({ itemId: 7n });
    await sleep(60_000, undefined, { ref: false });
  }
  const answers = client.encode(oneThenIdle());
  const first = answers.next();
  await sleep(15);
  const closed = service.close();
  assert.equal((await first).value?.itemId, 7n);
  await assert.rejects(answers.next(), UnavailableError);
  await closed;
});

test('close is bounded: handlers that take too long are aborted', async () => {
  const reasons: unknown[] = [];
  const { service, client } = await start(
    {
      encodeText: async (_request, { signal }) => {
        await once(signal, 'abort');
        reasons.push(signal.reason);
        throw signal.reason;
      },
    },
    { drainTimeoutMs: 100 },
  );
  const rejected = assert.rejects(client.encodeText(texts()), UnavailableError);
  await sleep(50);
  const started = performance.now();
  await service.close();
  await rejected;
  assert.ok(performance.now() - started < 2_500);
  assert.ok(reasons[0] instanceof ApplicationError);
});

test('metrics count calls by method and status', async () => {
  const { service, client } = await start({ encodeText: async () => noEmbeddings });
  await client.encodeText(texts());
  await assert.rejects(client.tokenize(TokenizeRequest.fromPartial({})), RemoteError);
  const metrics = await service.telemetry.registry.getMetricsAsJSON();
  const seriesValue = (metric: string, series: string, labels: Record<string, string>) =>
    metrics
      .find(({ name }) => name === metric)
      ?.values.find(
        (value: { metricName?: string; labels: Record<string, unknown> }) =>
          (value.metricName ?? metric) === series &&
          Object.entries(labels).every(([label, wanted]) => value.labels[label] === wanted),
      )?.value;
  const encodeText = { method: 'onlinecnclip.encoder.v1.EncoderService/EncodeText', service: 'encoder' };
  const tokenize = { method: 'onlinecnclip.encoder.v1.EncoderService/Tokenize', service: 'encoder' };
  const duration = RPC_TELEMETRY.duration.name;
  assert.equal(seriesValue(duration, `${duration}_count`, { ...encodeText, code: 'OK' }), 1);
  assert.equal(seriesValue(duration, `${duration}_count`, { ...tokenize, code: 'INTERNAL' }), 1);
  for (const [{ name }, value] of [
    [RPC_TELEMETRY.inFlight, 0],
    [RPC_TELEMETRY.received, 1],
    [RPC_TELEMETRY.sent, 1],
  ] as const)
    assert.equal(seriesValue(name, name, encodeText), value);
});

test('an address that is taken, or none, is an error that names it', async () => {
  const { address } = await start({});
  const second = createService({ name: 'encoder', logger: silentLogger, implementations: [] });
  await assert.rejects(second.listen(address), (error: unknown) => {
    assert.ok(error instanceof UnavailableError);
    assert.equal(error.place, address);
    return true;
  });
  await assert.rejects(second.listen('nowhere'), InvalidInputError);
});
