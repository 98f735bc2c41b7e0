// Several replicas behind one name.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { EncodeRequest, EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import { createEncoderClient } from './index.ts';

const TEXT = { texts: ['a'], contextLength: 0 };

/** A server that counts its calls. */
async function startReplica(
  context: TestContext,
  ageMs: number,
): Promise<{ readonly port: number; readonly calls: () => number }> {
  let calls = 0;
  const server = new Server({ 'grpc.max_connection_age_ms': ageMs });
  const absent = () => assert.fail();
  server.addService(
    EncoderServiceService as never,
    {
      ...Object.fromEntries(Object.keys(EncoderServiceService).map((name) => [name, absent])),
      tokenize: (_: unknown, callback: sendUnaryData<unknown>) => {
        calls++;
        callback(null, { texts: [] });
      },
      // Answers each message as it comes.
      encode: (call: ServerDuplexStream<{ readonly itemId: bigint }, unknown>) => {
        call.on('data', ({ itemId }) => call.write({ itemId, modelFingerprint: '' }));
        call.on('end', () => call.end());
      },
    } as unknown as UntypedServiceImplementation,
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  context.after(() => server.forceShutdown());
  return { port, calls: () => calls };
}

test('calls take turns over all addresses of a name', async (t) => {
  const first = await startReplica(t, 60_000);
  const second = await startReplica(t, 60_000);
  // What a name server would answer, in grpc-js's own notation.
  const client = createEncoderClient(`ipv4:127.0.0.1:${first.port},127.0.0.1:${second.port}`);
  t.after(() => client.close());
  await client.waitUntilConnected(10_000);
  // The second connection may still be on its way.
  const deadline = Date.now() + 10_000;
  while (second.calls() === 0 || first.calls() === 0) {
    assert.ok(Date.now() < deadline, `${first.calls()} and ${second.calls()} calls`);
    await client.tokenize(TEXT);
  }
  const before = [first.calls(), second.calls()];
  for (let i = 0; i < 100; i++) await client.tokenize(TEXT);
  assert.deepEqual(
    [first.calls(), second.calls()],
    before.map((count) => count + 50),
  );
});

test('a service that replaces its connections fails no call, and cuts no stream', async (t) => {
  const ageMs = 100;
  const { port, calls } = await startReplica(t, ageMs);
  const client = createEncoderClient(`127.0.0.1:${port}`);
  t.after(() => client.close());
  const until = Date.now() + 10 * ageMs;
  let sent = 0n;
  async function* items() {
    while (Date.now() < until) {
      yield EncodeRequest.fromPartial({ itemId: sent++ });
      await client.tokenize(TEXT);
    }
  }
  let received = 0n;
  for await (const { itemId } of client.encode(items())) assert.equal(itemId, received++);
  assert.equal(received, sent);
  assert.ok(calls() > 10);
});
