import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { RemoteError, STATUS_OF_KIND } from '@online-cnclip/contracts';
import { EncodeRequest, EncoderServiceService, EncodeTextRequest } from '@online-cnclip/contracts/encoder/v1';
import {
  RankerServiceService,
  UpsertItemsRequest,
  type UpsertItemsResponse,
} from '@online-cnclip/contracts/ranker/v1';
import { TrainerServiceService, WatchRunRequest } from '@online-cnclip/contracts/trainer/v1';
import {
  ApplicationError,
  CancelledError,
  DeadlineExceededError,
  InvalidInputError,
  NotFoundError,
  UnavailableError,
} from '@online-cnclip/foundation';
import {
  createEncoderClient,
  createRankerClient,
  createTrainerClient,
  type EncoderClient,
  type RankerClient,
  type TrainerClient,
} from './index.ts';

// A server of bare grpc-js, so that the clients are tested against something that is not of this project.
const server = new Server();
let encoder: EncoderClient;
let ranker: RankerClient;
let trainer: TrainerClient;
let address: string;
const cancelled: string[] = [];
const seen: Metadata[] = [];
let upserted = 0;

const implementations: [unknown, Record<string, unknown>][] = [
  [
    EncoderServiceService,
    {
      // texts: ['5', 'why'] answers with status 5; none: never.
      encodeText: (call: ServerUnaryCall<EncodeTextRequest, unknown>, callback: sendUnaryData<unknown>) => {
        const [code, details = ''] = call.request.texts;
        seen.push(call.metadata);
        call.on('cancelled', () => cancelled.push('encodeText'));
        if (code === '0') callback(null, { embeddings: [], modelFingerprint: details });
        else if (code !== undefined) callback({ code: Number(code), details });
      },
      encode: (call: ServerDuplexStream<EncodeRequest, unknown>) => {
        call.on('cancelled', () => cancelled.push('encode'));
        call.on('data', ({ itemId }: EncodeRequest) => {
          if (itemId < 0n) call.emit('error', { code: status.NOT_FOUND, details: `item ${itemId}` });
          else call.write({ itemId, embedding: undefined, modelFingerprint: '' });
        });
        call.on('end', () => call.end());
      },
    },
  ],
  [
    RankerServiceService,
    {
      upsertItems: (
        call: ServerReadableStream<UpsertItemsRequest, unknown>,
        callback: sendUnaryData<unknown>,
      ) => {
        let count = 0n;
        call.on('cancelled', () => cancelled.push('upsertItems'));
        call.on('data', ({ index, items }: UpsertItemsRequest) => {
          upserted++;
          count += BigInt(items.length);
          if (index === 'missing') callback({ code: status.NOT_FOUND, details: 'no index' });
        });
        call.on('end', () =>
          callback(null, { upserted: count, refused: 0n, failures: [], index: undefined }),
        );
      },
    },
  ],
  [
    TrainerServiceService,
    {
      watchRun: (call: ServerWritableStream<WatchRunRequest, unknown>) => {
        call.on('cancelled', () => cancelled.push('watchRun'));
        for (let i = 0; i < 3; i++) call.write({ time: new Date(i * 1000), event: undefined });
        if (call.request.name === 'lost') call.emit('error', { code: status.NOT_FOUND, details: 'no run' });
        else if (call.request.name !== 'endless') call.end();
      },
    },
  ],
];

before(async () => {
  for (const [definition, handlers] of implementations)
    server.addService(definition as never, handlers as UntypedServiceImplementation);
  const bound = Promise.withResolvers<number>();
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    error ? bound.reject(error) : bound.resolve(port),
  );
  address = `127.0.0.1:${await bound.promise}`;
  encoder = createEncoderClient(address);
  ranker = createRankerClient(address);
  trainer = createTrainerClient(address);
});
after(() => {
  for (const client of [encoder, ranker, trainer]) client.close();
  server.forceShutdown();
});

const ask = (...texts: string[]) => EncodeTextRequest.fromPartial({ texts });
const item = (itemId: bigint) => EncodeRequest.fromPartial({ itemId });

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await sleep(5);
  assert.ok(condition());
}

test('every status code becomes the class of its kind', async () => {
  for (const [kind, code] of Object.entries(STATUS_OF_KIND))
    await assert.rejects(encoder.encodeText(ask(String(code), '原因')), (error: unknown) => {
      assert.ok(error instanceof ApplicationError);
      assert.equal(error.kind, kind);
      assert.equal(error.message, '原因');
      return true;
    });
  await assert.rejects(encoder.encodeText(ask('13', 'id')), (error: unknown) => {
    assert.ok(error instanceof RemoteError && !(error instanceof ApplicationError));
    assert.equal(error.message, 'INTERNAL: id');
    return true;
  });
});

test('a deadline, by time or by point in time, rejects and is told to the service', async () => {
  await assert.rejects(encoder.encodeText(ask(), { timeoutMs: 50 }), DeadlineExceededError);
  const deadline = new Date(Date.now() + 50);
  await assert.rejects(encoder.encodeText(ask(), { timeoutMs: 60_000, deadline }), DeadlineExceededError);
  const hasty = createEncoderClient(address, { methodTimeoutsMs: { encodeText: 50 } });
  await assert.rejects(hasty.encodeText(ask()), DeadlineExceededError);
  hasty.close();
  await until(() => cancelled.filter((name) => name === 'encodeText').length >= 3);
});

test('an aborted signal rejects with its reason and cancels the call', async () => {
  const controller = new AbortController();
  const pending = encoder.encodeText(ask(), { signal: controller.signal });
  const watching = trainer.watchRun(WatchRunRequest.fromPartial({ name: 'endless' }), {
    signal: controller.signal,
  });
  for (let i = 0; i < 3; i++) await watching.next();
  const next = watching.next();
  const before = cancelled.length;
  controller.abort(new InvalidInputError('my reason'));
  await assert.rejects(pending, { message: 'my reason' });
  await assert.rejects(next, { message: 'my reason' });
  await until(() => cancelled.length === before + 2);
  await assert.rejects(encoder.encodeText(ask('0'), { signal: AbortSignal.abort() }), CancelledError);
});

test('a server stream is iterated; its error comes after its messages; leaving it cancels it', async () => {
  const times: (number | undefined)[] = [];
  for await (const { time } of trainer.watchRun(WatchRunRequest.fromPartial({ name: 'a' })))
    times.push(time?.getTime());
  assert.deepEqual(times, [0, 1000, 2000]);
  let count = 0;
  const lost = async () => {
    for await (const _ of trainer.watchRun(WatchRunRequest.fromPartial({ name: 'lost' }))) count++;
  };
  await assert.rejects(lost(), NotFoundError);
  assert.equal(count, 3);
  const before = cancelled.filter((name) => name === 'watchRun').length;
  for await (const _ of trainer.watchRun(WatchRunRequest.fromPartial({ name: 'endless' }))) break;
  await until(() => cancelled.filter((name) => name === 'watchRun').length > before);
});

test('a client stream sends all, or stops when the service has answered', async () => {
  const message = UpsertItemsRequest.fromPartial({ index: 'a', items: [{ id: 1n }, { id: 2n }] });
  const { upserted: sent }: UpsertItemsResponse = await ranker.upsertItems([message, message]);
  assert.equal(sent, 4n);

  let asked = 0;
  let closed = false;
  async function* endless() {
    try {
      for (;;) {
        asked++;
        yield UpsertItemsRequest.fromPartial({ index: 'missing' });
        await sleep(1);
      }
    } finally {
      closed = true;
    }
  }
  await assert.rejects(ranker.upsertItems(endless()), NotFoundError);
  await until(() => closed);
  assert.ok(asked < 500, `${asked} requests were asked for`);
});

test('requests that cannot be made end the call with their own error', async () => {
  async function* broken() {
    yield UpsertItemsRequest.fromPartial({ index: 'a' });
    throw new InvalidInputError('unreadable', { place: 'picture.png' });
  }
  const before = upserted;
  await assert.rejects(ranker.upsertItems(broken()), { message: 'picture.png: unreadable' });
  await until(() => cancelled.includes('upsertItems'));
  assert.ok(upserted <= before + 1);

  async function* brokenItems() {
    yield item(1n);
    throw new InvalidInputError('unreadable');
  }
  const all = async () => {
    for await (const _ of encoder.encode(brokenItems())) await sleep(1);
  };
  await assert.rejects(all(), { message: 'unreadable' });
});

test('a bidirectional stream answers, fails by the service, and ends when it is left', async () => {
  const ids: bigint[] = [];
  for await (const { itemId } of encoder.encode([item(3n), item(2n ** 62n)])) ids.push(itemId);
  assert.deepEqual(ids, [3n, 2n ** 62n]);

  const failing = encoder.encode([item(1n), item(-1n)]);
  assert.equal((await failing.next()).value?.itemId, 1n);
  await assert.rejects(failing.next(), { name: 'NotFoundError', message: 'item -1' });

  let closed = false;
  async function* endless() {
    try {
      for (let id = 0n; ; id++) {
        yield item(id);
        await sleep(1);
      }
    } finally {
      closed = true;
    }
  }
  for await (const { itemId } of encoder.encode(endless())) if (itemId === 5n) break;
  await until(() => closed && cancelled.includes('encode'));
});

test('metadata and request id go along', async () => {
  const metadata = new Metadata();
  metadata.set('tenant', 'a');
  await encoder.encodeText(ask('0'), { metadata, requestId: 'r-9' });
  assert.deepEqual(seen.at(-1)?.get('tenant'), ['a']);
  assert.deepEqual(seen.at(-1)?.get('x-request-id'), ['r-9']);
  assert.deepEqual(metadata.get('x-request-id'), []);
});

test('nobody there: UNAVAILABLE, and when waited for', async () => {
  const nobody = createEncoderClient('127.0.0.1:1');
  await assert.rejects(nobody.encodeText(ask('0')), UnavailableError);
  await assert.rejects(nobody.waitUntilConnected(50), /127\.0\.0\.1:1: no connection within 50 ms/);
  nobody.close();
  await encoder.waitUntilConnected(1_000);
});
