import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  AbortedError,
  CancelledError,
  DeadlineExceededError,
  FailedPreconditionError,
  silentLogger,
  UnavailableError,
} from '@online-cnclip/foundation';
import { type HostedRendezvous, hostRendezvous, Rendezvous, type RendezvousOptions } from './index.ts';

const TIMEOUT_MS = 20_000;
const STATE = { step: 0, parameters: 'hash', fingerprint: { model: 'mini' } };

const open: { close(): Promise<void> }[] = [];
after(() => Promise.all(open.map((one) => one.close())));

async function host(address = '127.0.0.1:0'): Promise<HostedRendezvous> {
  const hosted = await hostRendezvous(address, silentLogger);
  open.push(hosted);
  return hosted;
}

function replica(address: string, rank: number, given: Partial<RendezvousOptions> = {}): Rendezvous {
  const one = new Rendezvous({ address, run: 'run', rank, worldSize: 2, timeoutMs: TIMEOUT_MS, ...given });
  open.push(one);
  return one;
}

test('replicas gather, exchange addresses, finish', async () => {
  const { address } = await host();
  const [first, second] = [replica(address, 0), replica(address, 1)];
  const [a, b] = await Promise.all([first.gather(STATE), second.gather({ ...STATE, step: 7 })]);
  assert.ok(a && b);
  assert.deepEqual([a.root, a.step, a.behind, a.host], [1, 7, [0], '127.0.0.1']);
  const asked = a.store.get('1');
  await b.store.set('1', Buffer.from('there'));
  assert.equal(Buffer.from(await asked).toString(), 'there');
  await Promise.all([a.finish(), b.finish()]);
  await second.close();
  assert.equal(await replica(address, 1).gather(STATE), undefined);
});

test('who leaves is lost to the others at once; they gather again', async () => {
  const { address } = await host();
  const [first, second] = [replica(address, 0), replica(address, 1)];
  const [a] = await Promise.all([first.gather(STATE), second.gather(STATE)]);
  assert.ok(a);
  const finishing = assert.rejects(
    a.finish(),
    (error) => error instanceof AbortedError || error instanceof UnavailableError,
  );
  const lost = new Promise<unknown>((resolve) =>
    a.lost.addEventListener('abort', () => resolve(a.lost.reason)),
  );
  await second.close();
  assert.match(String(await lost), /replica 1 is lost/);
  await finishing;
  const again = await Promise.all([first.gather(STATE), replica(address, 1).gather(STATE)]);
  assert.ok(again.every(Boolean));
});

test('a replica 0 that comes late, or back, is waited for', async () => {
  const { address } = await host();
  await open.pop()?.close();
  const other = replica(address, 1);
  const waiting = other.gather(STATE);
  const hosted = await host(address);
  const [, gathering] = await Promise.all([replica(address, 0).gather(STATE), waiting]);
  const lost = new Promise<void>((resolve) => gathering?.lost.addEventListener('abort', () => resolve()));
  await hosted.close();
  await lost;
  await host(address);
  await Promise.all([replica(address, 0).gather(STATE), other.gather(STATE)]);
});

test('who does not come is named at the end of the waiting', async () => {
  const { address } = await host();
  const told: (readonly number[])[] = [];
  const lonely = replica(address, 0, {
    worldSize: 3,
    timeoutMs: 400,
    onAwaited: (ranks) => told.push(ranks),
  });
  await assert.rejects(
    lonely.gather(STATE),
    (error) =>
      error instanceof DeadlineExceededError && /replicas 1, 2 did not come within 0.4 s/.test(error.message),
  );
  assert.deepEqual(told[0], [1, 2]);
  const stop = new AbortController();
  const stopped = assert.rejects(replica(address, 0).gather(STATE, stop.signal), CancelledError);
  stop.abort();
  await stopped;
});

test('another model is an error on both sides', async () => {
  const { address } = await host();
  const other = { ...STATE, fingerprint: { model: 'big' } };
  const outcomes = await Promise.allSettled([
    replica(address, 0).gather(STATE),
    replica(address, 1).gather(other),
  ]);
  for (const outcome of outcomes) {
    assert.ok(outcome.status === 'rejected' && outcome.reason instanceof FailedPreconditionError);
    assert.match(outcome.reason.message, /model "big" and "mini"/);
  }
});
