import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import { EncodeRequest, EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import {
  DeadlineExceededError,
  InvalidInputError,
  ResourceExhaustedError,
  UnavailableError,
} from '@online-cnclip/foundation';
import { createEncoderClient, type EncoderClient } from './index.ts';

const TEXT = { texts: ['a'], contextLength: 0 };
const CHECKPOINT = { checkpointPath: 'a.pt', visionModel: '', textModel: '', contextLength: 0 };

function failure(code: status, pushbackMs = 0): Partial<ServiceError> {
  const metadata = new Metadata();
  if (pushbackMs !== 0) metadata.set('grpc-retry-pushback-ms', String(pushbackMs));
  return { code, details: 'as the test says', metadata };
}

interface FakeService {
  readonly port: number;
  /** Names of the methods that were called. */
  readonly calls: string[];
  /** Statuses of the next calls; then all go well. */
  readonly failures: status[];
  /** When the caller of a failed call is told to come back; 0: it is not told. */
  pushbackMs: number;
  stop(): void;
}

/** An encoder that fails as it is told, by statuses before any message. */
async function startService(context: TestContext, port = 0): Promise<FakeService> {
  const [calls, failures]: [string[], status[]] = [[], []];
  const service = { port, calls, failures, pushbackMs: 0, stop: () => server.forceShutdown() };
  const answer = (name: string) => (_: unknown, callback: sendUnaryData<unknown>) => {
    calls.push(name);
    const code = failures.shift();
    if (code === undefined) callback(null, { texts: [], embeddings: [] });
    else callback(failure(code, service.pushbackMs));
  };
  const server = new Server({ 'grpc.max_receive_message_length': 64 * 1024 * 1024 });
  server.addService(
    EncoderServiceService as never,
    {
      ...Object.fromEntries(Object.keys(EncoderServiceService).map((name) => [name, answer(name)])),
      encode: (call: ServerDuplexStream<EncodeRequest, unknown>) => {
        calls.push('encode');
        call.on('error', () => {});
        call.emit('error', failure(failures.shift() ?? status.UNAVAILABLE));
      },
    } as unknown as UntypedServiceImplementation,
  );
  service.port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  context.after(() => server.forceShutdown());
  return service;
}

function connect(context: TestContext, ...services: FakeService[]): EncoderClient {
  const client = createEncoderClient(`ipv4:${services.map(({ port }) => `127.0.0.1:${port}`).join(',')}`);
  context.after(() => client.close());
  return client;
}

test('a safe call is tried again while the service is away or full, up to four times', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  service.failures.push(status.UNAVAILABLE, status.RESOURCE_EXHAUSTED, status.UNAVAILABLE);
  assert.deepEqual(await client.tokenize(TEXT), { texts: [] });
  assert.equal(service.calls.length, 4);
});

test('the last failure is the call’s after four tries', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  service.failures.push(...new Array(3).fill(status.UNAVAILABLE), status.RESOURCE_EXHAUSTED);
  await assert.rejects(client.tokenize(TEXT), ResourceExhaustedError);
  assert.equal(service.calls.length, 4);
});

test('nothing else is tried again: other failures, unsafe methods, streams of requests', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  service.failures.push(status.INVALID_ARGUMENT);
  await assert.rejects(client.tokenize(TEXT), InvalidInputError);
  service.failures.push(status.UNAVAILABLE);
  await assert.rejects(client.loadModel(CHECKPOINT), UnavailableError);
  const stream = client.encode([EncodeRequest.fromPartial({ itemId: 1n })]);
  await assert.rejects(stream.next(), UnavailableError);
  assert.deepEqual(service.calls, ['tokenize', 'loadModel', 'encode']);
});

test('a call is tried again on another replica', async (t) => {
  const services = [await startService(t), await startService(t)] as const;
  const client = connect(t, ...services);
  const calls = () => services.map((service) => service.calls.length);
  while (calls().includes(0)) await client.tokenize(TEXT);
  const before = calls();
  for (const service of services) service.failures.push(status.UNAVAILABLE);
  await client.tokenize(TEXT);
  assert.deepEqual(
    calls()
      .map((count, replica) => count - (before[replica] ?? 0))
      .sort(),
    [1, 2],
  );
});

test('the deadline bounds all tries together', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  service.failures.push(...new Array(100).fill(status.UNAVAILABLE));
  await assert.rejects(
    client.tokenize(TEXT, { timeoutMs: 250 }),
    (error) => error instanceof DeadlineExceededError || error instanceof UnavailableError,
  );
  assert.ok(service.calls.length < 4, `${service.calls.length} tries`);
});

test('a service that stays full gets no storm: the budget ends the retries', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  service.failures.push(...new Array(1_000).fill(status.RESOURCE_EXHAUSTED));
  const ends = await Promise.allSettled(Array.from({ length: 100 }, () => client.tokenize(TEXT)));
  assert.ok(ends.every(({ status: end }) => end === 'rejected'));
  // Ten tokens: the retries of the first five failures, and no more.
  assert.ok(service.calls.length <= 110, `${service.calls.length} calls of 100 callers`);
  const before = service.calls.length;
  await assert.rejects(client.tokenize(TEXT), ResourceExhaustedError);
  assert.equal(service.calls.length, before + 1);
});

test('successes fill the budget again', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  service.failures.push(...new Array(20).fill(status.RESOURCE_EXHAUSTED));
  while (service.failures.length > 0) await client.tokenize(TEXT).catch(() => {});
  for (let call = 0; call < 100; call++) await client.tokenize(TEXT);
  const before = service.calls.length;
  service.failures.push(status.UNAVAILABLE);
  await client.tokenize(TEXT);
  assert.equal(service.calls.length, before + 2);
});

test('a dead service fails calls soon, and is found again when it is back', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  await client.tokenize(TEXT);
  service.stop();
  const ends = await Promise.allSettled(Array.from({ length: 50 }, () => client.tokenize(TEXT)));
  for (const end of ends) assert.ok(end.status === 'rejected' && end.reason instanceof UnavailableError);
  const again = await startService(t, service.port);
  while (again.calls.length === 0) await client.tokenize(TEXT).catch(() => {});
});

test('the service may say that another try is no use, or when it is', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  service.pushbackMs = -1;
  service.failures.push(status.RESOURCE_EXHAUSTED);
  await assert.rejects(client.tokenize(TEXT), ResourceExhaustedError);
  assert.equal(service.calls.length, 1);
  service.pushbackMs = 1;
  service.failures.push(status.RESOURCE_EXHAUSTED);
  await client.tokenize(TEXT);
  assert.equal(service.calls.length, 3);
});

test('large requests are kept for another try, the largest are not', async (t) => {
  const service = await startService(t);
  const client = connect(t, service);
  const images = (mebibytes: number) => ({
    images: [Buffer.alloc(mebibytes * 1024 * 1024)],
    vectorFormat: VectorFormat.VECTOR_FORMAT_FLOATS,
  });
  service.failures.push(status.UNAVAILABLE);
  await client.encodeImage(images(3));
  assert.equal(service.calls.length, 2);
  service.failures.push(status.UNAVAILABLE);
  await assert.rejects(client.encodeImage(images(5)), UnavailableError);
  assert.equal(service.calls.length, 3);
});
