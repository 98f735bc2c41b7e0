import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { connect, constants } from 'node:http2';
import { type TestContext, test } from 'node:test';
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { createEncoderClient } from '@online-cnclip/client';
import {
  EncodeRequest,
  EncoderServiceService,
  EncodeTextRequest,
  TokenizeRequest,
} from '@online-cnclip/contracts/encoder/v1';
import {
  CancelledError,
  DeadlineExceededError,
  ResourceExhaustedError,
  silentLogger,
} from '@online-cnclip/foundation';
import { MAX_REQUEST_STREAMS } from './admission.ts';
import { Calls, type ServerCall } from './calls.ts';
import { Budget, type Costs, chargeTo, createService, type Handlers, implement, Telemetry } from './index.ts';
import { Access } from './security/access.ts';
import { Refusals } from './security/refusals.ts';

type EncoderDefinition = typeof EncoderServiceService;

const unused = async (): Promise<never> => {
  throw new Error('not part of this test');
};

async function* answerEach(requests: AsyncIterable<EncodeRequest>) {
  for await (const { itemId } of requests) yield { itemId, embedding: undefined, modelFingerprint: '' };
}

async function serve(
  context: TestContext,
  handlers: Partial<Handlers<EncoderDefinition>>,
  costs: Costs<EncoderDefinition> = {},
) {
  const all = { getModel: unused, encodeText: unused, encodeImage: unused, loadModel: unused };
  const tokenize = async () => ({ texts: [] });
  const implementation = implement(
    EncoderServiceService,
    { ...all, tokenize, encode: answerEach, ...handlers },
    costs,
  );
  const service = createService({
    name: 'encoder',
    logger: silentLogger,
    drainTimeoutMs: 300,
    implementations: [implementation],
  });
  const address = await service.listen('127.0.0.1:0');
  // Clients of equal options share one connection: the size of a message makes each one's own.
  const connect = (maxMessageBytes?: number) => {
    const client = createEncoderClient(address, maxMessageBytes === undefined ? {} : { maxMessageBytes });
    context.after(() => client.close());
    return client;
  };
  context.after(() => service.close());
  return { service, connect, client: connect() };
}

/** EncodeText that costs one per text, and ends when the test says so. */
function heldTexts(limits: { maxRunning: number; maxWaiting: number }) {
  const budget = new Budget({ name: 'texts', unit: 'texts', ...limits });
  const seen: string[] = [];
  const held: (() => void)[] = [];
  const handlers: Partial<Handlers<EncoderDefinition>> = {
    encodeText: async ({ texts }) => {
      seen.push(...texts);
      await new Promise<void>((resolve) => held.push(resolve));
      return { embeddings: [], modelFingerprint: '' };
    },
  };
  const costs = { encodeText: chargeTo(budget, ({ texts }: EncodeTextRequest) => texts.length) };
  const endAll = async () => {
    while (budget.running > 0) {
      for (const end of held.splice(0)) end();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { budget, seen, held, handlers, costs, endAll };
}

const texts = (...all: string[]) => EncodeTextRequest.fromPartial({ texts: all });

/** What the service says of another try. */
const retryAdviceOf = ({ cause }: Error): unknown =>
  (cause as ServiceError).metadata.get('grpc-retry-pushback-ms')[0];

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

test('what does not fit is refused before its handler; other budgets go on; metrics tell', async (t) => {
  const { budget, seen, handlers, costs, endAll } = heldTexts({ maxRunning: 1, maxWaiting: 4 });
  const { client, service } = await serve(t, handlers, costs);
  const accepted = ['a', 'b', 'c', 'd', 'e'].map((text) => client.encodeText(texts(text)));
  await until(() => budget.running === 1 && budget.waiting === 4);
  await assert.rejects(client.encodeText(texts('f')), (error) => {
    assert.ok(error instanceof ResourceExhaustedError);
    assert.match(error.message, /4 of 4 texts wait in the queue of texts, 4 of them of this client/);
    assert.ok(Number(retryAdviceOf(error)) > 0);
    return true;
  });
  await client.tokenize(TokenizeRequest.fromPartial({ texts: ['a'] }));
  const full = await service.telemetry.registry.metrics();
  assert.match(full, /onlinecnclip_rpc_admitted_cost\{budget="texts",.*\} 1\n/);
  assert.match(full, /onlinecnclip_rpc_queued_cost\{budget="texts",.*\} 4\n/);
  assert.match(full, /onlinecnclip_rpc_queued_calls\{budget="texts",.*\} 4\n/);
  assert.match(
    full,
    /onlinecnclip_rpc_admission_refusals_total\{budget="texts",reason="queue-full",.*\} [1-9]/,
  );
  await endAll();
  await Promise.all(accepted);
  assert.deepEqual(seen, ['a', 'b', 'c', 'd', 'e']);
  assert.match(await service.telemetry.registry.metrics(), /admitted_cost\{budget="requests",.*\} 0\n/);
});

test('a limit that stays is not worth another try, and the caller is told so', async (t) => {
  let calls = 0;
  const { client } = await serve(t, {
    tokenize: async () => {
      calls++;
      throw new ResourceExhaustedError('the batch is too large');
    },
  });
  await assert.rejects(client.tokenize(TokenizeRequest.fromPartial({})), (error) => {
    assert.ok(error instanceof ResourceExhaustedError);
    assert.equal(retryAdviceOf(error), '-1');
    return true;
  });
  assert.equal(calls, 1);
});

test('calls that wait leave when they are cancelled or late, and never reach their handler', async (t) => {
  const { budget, seen, handlers, costs, endAll } = heldTexts({ maxRunning: 1, maxWaiting: 100 });
  const { client } = await serve(t, handlers, costs);
  const first = client.encodeText(texts('first'));
  await until(() => seen.length === 1);
  const controller = new AbortController();
  const cancelled = client.encodeText(texts('cancelled'), { signal: controller.signal });
  const late = client.encodeText(texts('late'), { timeoutMs: 50 });
  const ended = [assert.rejects(cancelled, CancelledError), assert.rejects(late, DeadlineExceededError)];
  await until(() => budget.waiting >= 1);
  controller.abort();
  await Promise.all(ended);
  await until(() => budget.waiting === 0);
  await endAll();
  await first;
  assert.deepEqual(seen, ['first']);
});

test('a deadline that is past when the call is looked at never reaches the handler', async () => {
  const telemetry = new Telemetry('encoder');
  const access = new Access(undefined, new Refusals(silentLogger, telemetry), silentLogger);
  const calls = new Calls(silentLogger, telemetry, access);
  const call: ServerCall = Object.assign(new EventEmitter(), {
    metadata: new Metadata(),
    cancelled: false,
    getPeer: () => '10.0.0.1:1',
    getAuthContext: () => ({}),
    getDeadline: () => Date.now() - 1,
  });
  const run = calls.run(call, 'method', () => assert.fail('the handler was called'));
  await assert.rejects(run, { details: 'the deadline passed' });
});

test('thousands of calls given up at once do not cost the connection', async (t) => {
  const { service } = await serve(t, {});
  const address = await service.listen('127.0.0.1:0');
  const session = connect(`http://${address}`);
  t.after(() => session.destroy());
  await once(session, 'remoteSettings');
  const headers = {
    ':method': 'POST',
    ':path': EncoderServiceService.encode.path,
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  const frame = Buffer.from([0, 0, 0, 0, 2, 8, 1]);
  // Twice as many as Node would bear.
  for (let call = 0; call < 2_000; call++) {
    const stream = session.request(headers);
    stream.on('error', () => {});
    stream.write(frame);
    await new Promise((resolve) => setImmediate(resolve));
    stream.close(constants.NGHTTP2_CANCEL);
  }
  const last = session.request(headers);
  last.on('error', () => {});
  last.end(frame);
  const [answer] = await Promise.race([once(last, 'response'), once(session, 'close')]);
  assert.equal(answer?.[':status'], 200, 'the connection was closed');
});

test('a flooding client does not starve another', async (t) => {
  const { budget, seen, held, handlers, costs, endAll } = heldTexts({ maxRunning: 1, maxWaiting: 1_000 });
  const { connect } = await serve(t, handlers, costs);
  const [flooding, quiet] = [connect(1 << 20), connect(1 << 21)];
  const flood = Array.from({ length: 200 }, () => flooding.encodeText(texts('flood')));
  await until(() => budget.waiting === 199);
  const call = quiet.encodeText(texts('quiet'));
  await until(() => budget.waiting === 200);
  for (let ended = 1; ended <= 2; ended++) {
    held.pop()?.();
    await until(() => seen.length === ended + 1);
  }
  assert.ok(seen.includes('quiet'), `after ${seen.length} calls`);
  await endAll();
  await Promise.all([...flood, call]);
});

test('a stream is not read on while its messages wait, and its end gives all back', async (t) => {
  const budget = new Budget({ name: 'texts', unit: 'items', maxRunning: 10, maxWaiting: 10 });
  const held: EncodeRequest[] = [];
  let sent = 0;
  let release: (message: unknown) => void = () => {};
  const { client } = await serve(
    t,
    {
      encode: async function* (requests, context) {
        release = context.release;
        for await (const request of requests) held.push(request);
        yield { itemId: 0n, embedding: undefined, modelFingerprint: '' };
        throw new ResourceExhaustedError('enough');
      },
    },
    { encode: { ...chargeTo(budget, () => 1), heldUntil: 'released' } },
  );
  async function* items() {
    for (; sent < 100; sent++) yield EncodeRequest.fromPartial({ itemId: BigInt(sent) });
  }
  const answers = (async () => {
    for await (const _ of client.encode(items()));
  })();
  await until(() => budget.waiting === 1);
  assert.equal(held.length, 10);
  // Twice counts once.
  for (const message of [...held, ...held]) release(message);
  await until(() => budget.waiting === 1 && held.length === 20);
  await assert.rejects(
    (async () => {
      while (held.length < 100) {
        for (const message of held) release(message);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await answers;
    })(),
    /enough/,
  );
  await until(() => budget.running === 0);
  assert.equal(budget.waiting, 0);
});

test('messages of a sequential handler cost until it asks for the next one', async (t) => {
  const budget = new Budget({ name: 'texts', unit: 'items', maxRunning: 1, maxWaiting: 1 });
  const { client } = await serve(t, {}, { encode: chargeTo(budget, () => 1) });
  async function* items() {
    for (let id = 0; id < 50; id++) yield EncodeRequest.fromPartial({ itemId: BigInt(id) });
  }
  let answers = 0;
  for await (const { itemId } of client.encode(items())) assert.equal(itemId, BigInt(answers++));
  assert.equal(answers, 50);
  await until(() => budget.running === 0);
});

test('streams of requests are counted, and refused beyond the limit', async (t) => {
  const { client } = await serve(t, {});
  const controller = new AbortController();
  async function* one() {
    yield EncodeRequest.fromPartial({ itemId: 1n });
    await new Promise((resolve) => controller.signal.addEventListener('abort', resolve));
  }
  const open = Array.from({ length: MAX_REQUEST_STREAMS }, () =>
    client.encode(one())[Symbol.asyncIterator](),
  );
  await Promise.all(open.map((stream) => stream.next()));
  await assert.rejects(
    client.encode(one()).next(),
    /256 streams of requests are open, the most of this service/,
  );
  await open.pop()?.return();
  // The service hears of the end a moment later.
  for (;;) {
    const again = client.encode(one());
    const answer = await again.next().catch((error) => {
      assert.ok(error instanceof ResourceExhaustedError);
    });
    await again.return();
    if (answer?.value?.itemId === 1n) break;
  }
  controller.abort();
  await Promise.all(open.map((stream) => stream.return()));
});
