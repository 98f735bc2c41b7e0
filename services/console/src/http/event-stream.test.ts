import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NotFoundError, silentLogger } from '@online-cnclip/foundation';
import fastify from 'fastify';
import { until } from '../testing/page-checks.ts';
import { type EventStream, EventStreams } from './event-stream.ts';

interface Events {
  block: { readonly text: string };
}

async function serve(produce: (stream: EventStream<Events>) => Promise<void>) {
  const app = fastify();
  const streams = new EventStreams(silentLogger);
  app.get('/', (request, reply) => streams.serve<Events>(request, reply, produce));
  return { app, streams, origin: await app.listen({ host: '127.0.0.1', port: 0 }) };
}

test('a page that does not read holds its producer up, and ends it when it goes away', async () => {
  let sent = 0;
  let ended: unknown;
  const text = 'x'.repeat(100_000);
  const { app, streams, origin } = await serve(async (stream) => {
    try {
      for (; ; sent++) await stream.send('block', { text });
    } catch (error) {
      ended = error;
      throw error;
    }
  });
  const leaving = new AbortController();
  await fetch(origin, { signal: leaving.signal });
  let before = -1;
  // Sockets and buffers take some megabytes; then nothing moves.
  await until(async () => {
    const still = before === sent;
    before = sent;
    await sleep(100);
    return still;
  });
  assert.ok(sent < 1_000, `${sent} blocks were sent to nobody`);
  assert.equal(ended, undefined);
  leaving.abort();
  await until(() => ended !== undefined && streams.size === 0);
  await app.close();
});

test('an error ends the stream with an event that says so; text cannot break out of its line', async () => {
  const { app, origin } = await serve(async (stream) => {
    await stream.send('block', { text: 'a\n\nevent: forged' }, '7');
    throw new NotFoundError('is gone', { place: 'run' });
  });
  const text = await (await fetch(origin)).text();
  assert.deepEqual(text.split('\n\n').filter(Boolean), [
    'retry: 2000',
    'event: block\nid: 7\ndata: {"text":"a\\n\\nevent: forged"}',
    'event: failure\ndata: {"error":{"kind":"not-found","message":"run: is gone"}}',
  ]);
  await app.close();
});
