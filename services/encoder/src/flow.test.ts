// What a caller cannot do to the encoder: fill its memory, or take it from others.
import assert from 'node:assert/strict';
import { type ClientHttp2Stream, connect, constants } from 'node:http2';
import { type TestContext, test } from 'node:test';
import { createEncoderClient } from '@online-cnclip/client';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import { EncodeRequest, EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import { ModelHost } from '@online-cnclip/encoding';
import { createFakeModel, type FakeModel } from '@online-cnclip/encoding/testing';
import { ResourceExhaustedError, silentLogger } from '@online-cnclip/foundation';
import { createService, implement } from '@online-cnclip/service-kit';
import { encoderCosts } from './costs.ts';
import { createHandlers } from './handlers.ts';

const FLOATS = VectorFormat.VECTOR_FORMAT_FLOATS;

async function serve(context: TestContext) {
  let fake: FakeModel | undefined;
  const host = new ModelHost({
    dataFolder: import.meta.dirname,
    contextLength: 24,
    logger: silentLogger,
    load: async () => {
      fake = createFakeModel();
      return fake.model;
    },
  });
  await host.load({ checkpointPath: 'flow.test.ts', visionModel: 'v', textModel: 't' });
  const limits = { maxMessageBytes: 1, maxImageBytes: 1, maxImagePixels: 1 };
  const service = createService({
    name: 'encoder',
    implementations: [implement(EncoderServiceService, createHandlers({ host, limits }), encoderCosts(host))],
    logger: silentLogger,
    drainTimeoutMs: 2_000,
  });
  const address = await service.listen('127.0.0.1:0');
  const client = createEncoderClient(address);
  context.after(async () => {
    client.close();
    await service.close();
    await host.close();
  });
  const metric = async (name: string, labels: string) => {
    const page = await service.telemetry.registry.metrics();
    return Number(page.match(new RegExp(`^onlinecnclip_${name}\\{${labels}.*\\} (\\S+)$`, 'm'))?.[1] ?? 0);
  };
  return { address, client, fake: fake as FakeModel, metric };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Until a number has been the same for so many looks in a row. */
async function untilSteady(read: () => number | Promise<number>): Promise<number> {
  let [last, same] = [await read(), 0];
  await until(async () => {
    const now = await read();
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= 50;
  });
  return last;
}

test('texts are admitted by tokens: a flood is refused before it is tokenized, images go on', async (t) => {
  const { client, fake, metric } = await serve(t);
  const release = fake.textTower.hold();
  const request = { texts: new Array<string>(100).fill('字'.repeat(30)), vectorFormat: FLOATS };
  let refused = 0;
  const calls = Array.from({ length: 60 }, () =>
    client.encodeText(request).catch((error) => {
      assert.ok(error instanceof ResourceExhaustedError);
      assert.match(error.message, /of 65536 tokens wait in the queue of texts/);
      refused++;
    }),
  );
  // 2,400 tokens a call: one is worked on, 27 fit into the queue, and a single client may not fill the last of it.
  await until(() => refused > 30);
  assert.ok((await metric('rpc_queued_cost', 'budget="texts"')) <= 65_536);
  assert.equal(fake.model.texts.queued, 100, 'only one call has been tokenized');
  const { embeddings } = await client.encodeImage({ images: [Buffer.of(1)], vectorFormat: FLOATS });
  assert.equal(embeddings.length, 1);
  release();
  const answers = (await Promise.all(calls)).filter(Boolean);
  assert.equal(answers.length, 60 - refused);
  for (const budget of ['texts', 'images', 'requests'])
    assert.equal(await metric('rpc_admitted_cost', `budget="${budget}"`), 0);
});

test('a reader that never reads: its stream comes to a stop, others do not, and nothing is left of it', async (t) => {
  const { address, client, metric } = await serve(t);
  // Straight over HTTP/2: a client of grpc-js takes answers in before anyone asks for them.
  const session = connect(`http://${address}`);
  t.after(() => session.destroy());
  const call = session.request({
    ':method': 'POST',
    ':path': EncoderServiceService.encode.path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  call.on('error', () => {});
  call.pause();
  const written = writeItems(call, 50_000);
  const received = () => metric('rpc_received_messages_total', 'method="[^"]*/Encode"');
  await until(async () => (await received()) > 0);
  const taken = await untilSteady(received);
  assert.ok(taken < 5_000, `${taken} items were taken with nobody reading the answers`);
  assert.ok(written() < 50_000, 'the writer was held back');
  // It holds up neither the budget nor anyone else.
  assert.equal(await metric('rpc_admitted_cost', 'budget="texts"'), 0);
  assert.equal((await client.encodeText({ texts: ['a'], vectorFormat: FLOATS })).embeddings.length, 1);
  call.close(constants.NGHTTP2_CANCEL);
  await until(async () => (await metric('rpc_in_flight_calls', 'method="[^"]*/Encode"')) === 0);
});

/** Writes as fast as the service takes it. @returns how many items were written by now. */
function writeItems(call: ClientHttp2Stream, count: number): () => number {
  let written = 0;
  const write = (): void => {
    while (!call.destroyed && written < count) {
      const item = { itemId: BigInt(written++), item: { $case: 'text' as const, value: '猫'.repeat(100) } };
      const message = EncodeRequest.encode(EncodeRequest.fromPartial(item)).finish();
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.byteLength, 1);
      if (!call.write(Buffer.concat([prefix, message]))) break;
    }
  };
  call.on('drain', write);
  write();
  return () => written;
}
