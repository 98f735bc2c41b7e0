import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CancelledError, InvalidInputError } from '@online-cnclip/foundation';
import {
  backoffOf,
  DEFAULT_BACKOFF_MS,
  IMAGE_INTERVAL_MS,
  isExempt,
  MIN_QUERY_INTERVAL_MS,
  parseExemptAddress,
  requireManners,
} from './manners.ts';
import { TokenBucket } from './token-bucket.ts';

const real = new URL('https://shop.example');
const manners = {
  queryIntervalMs: MIN_QUERY_INTERVAL_MS,
  queryJitterMs: 0,
  dailyCap: 1,
  backoffMs: DEFAULT_BACKOFF_MS,
  imageIntervalMs: IMAGE_INTERVAL_MS,
};

test('a real site gets at least its intervals; only more can be configured', () => {
  const exempt = parseExemptAddress('127.0.0.1:8070');
  assert.equal(requireManners(real, manners, exempt), manners);
  for (const less of [{ queryIntervalMs: 7_999 }, { backoffMs: 0 }, { imageIntervalMs: 1 }])
    assert.throws(() => requireManners(real, { ...manners, ...less }, exempt), InvalidInputError);
  assert.ok(requireManners(new URL('http://127.0.0.1:8070'), { ...manners, queryIntervalMs: 0 }, exempt));
  // Neither the name that resolves to it nor another port is the address.
  for (const url of ['http://localhost:8070', 'http://127.0.0.1:8071', 'http://127.0.0.2:8070'])
    assert.throws(
      () => requireManners(new URL(url), { ...manners, queryIntervalMs: 0 }, exempt),
      InvalidInputError,
    );
});

test('the exempt address is a literal loopback one, with its port', () => {
  assert.deepEqual(parseExemptAddress('[::1]:80'.replace(':80', ':81')), { host: '::1', port: 81 });
  for (const text of [
    'localhost:80',
    '10.0.0.1:8080',
    '127.0.0.1',
    'shop.example:443',
    '127.0.0.1:8080/x',
    '',
  ])
    assert.throws(() => parseExemptAddress(text), InvalidInputError, text);
  assert.ok(!isExempt(new URL('http://127.0.0.1:8070'), undefined));
});

test('back-off doubles up to its limit', () => {
  assert.deepEqual(
    [0, 1, 2, 10, 1_000].map((times) => backoffOf(60_000, times)),
    [60_000, 120_000, 240_000, 3_600_000, 3_600_000],
  );
});

test('a bucket gives one token an interval apart, first come first served, however many ask', async () => {
  const intervalMs = 30;
  // The times that the bucket itself went by: a busy machine delays whoever waits, not the count.
  const times: number[] = [];
  let asked = 0;
  const bucket = new TokenBucket({
    intervalMs,
    jitterMs: 0,
    now: () => {
      asked = Date.now();
      return asked;
    },
    random: () => {
      times.push(asked);
      return 0;
    },
  });
  const taken: number[] = [];
  const { signal } = new AbortController();
  await Promise.all(
    [0, 1, 2, 3].map(async (who) => {
      await bucket.take(signal);
      taken.push(who);
    }),
  );
  assert.deepEqual(taken, [0, 1, 2, 3]);
  assert.equal(times.length, 4);
  for (const [i, time] of times.slice(1).entries())
    assert.ok(time - (times[i] as number) >= intervalMs, `taken at ${times}`);
});

test('nothing is taken from a bucket that rests, and who leaves takes nothing', async () => {
  let now = 0;
  const bucket = new TokenBucket({ intervalMs: 10, jitterMs: 0, now: () => now });
  bucket.pauseUntil(40);
  bucket.pauseUntil(20);
  assert.equal(bucket.resumeAt, 40);
  const leaving = new AbortController();
  const left = bucket.take(leaving.signal);
  let isTaken = false;
  const taken = bucket.take(new AbortController().signal).then(() => {
    isTaken = true;
  });
  leaving.abort();
  await assert.rejects(left, CancelledError);
  assert.equal(isTaken, false);
  now = 41;
  await taken;
});

test('a clock that is set back costs one interval at most, and the interval is kept', {
  timeout: 60_000,
}, async () => {
  let now = 1_000_000;
  const bucket = new TokenBucket({ intervalMs: 20, jitterMs: 0, now: () => now });
  const { signal } = new AbortController();
  await bucket.take(signal);
  now -= 500_000;
  let isTaken = false;
  const second = bucket.take(signal).then(() => {
    isTaken = true;
  });
  await new Promise(setImmediate);
  assert.equal(isTaken, false);
  now += 20;
  await second;
});
