import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MAX_IMAGE_BYTES } from '../page/limits.ts';
import { MAX_STREAMS } from './http/event-stream.ts';
import { PAGE_HEADER } from './http/guard.ts';
import { FINGERPRINT } from './testing/fake-services.ts';
import { until } from './testing/page-checks.ts';
import { startTestConsole, type TestConsole } from './testing/test-console.ts';
import type { ErrorAnswer, Overview, SearchAnswer } from './wire.ts';

let console_: TestConsole;
let pictures: string;
const SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>';

before(async () => {
  pictures = mkdtempSync(join(tmpdir(), 'console-'));
  mkdirSync(join(pictures, 'emoji'));
  writeFileSync(join(pictures, 'emoji/7.svg'), SVG);
  writeFileSync(join(pictures, 'secret.png'), 'secret');
  console_ = await startTestConsole(pictures);
  console_.fakes.addIndex('emoji', 1);
  console_.fakes.hits = [
    { id: 7n, score: 0.5 },
    { id: 9_007_199_254_740_993n, score: 0.25 },
  ];
});
after(async () => {
  await console_.close();
  rmSync(pictures, { recursive: true });
});

const fetchFrom = (path: string, init: RequestInit = {}) => fetch(console_.origin + path, init);

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetchFrom(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', [PAGE_HEADER]: '1', ...headers },
    body: JSON.stringify(body),
  });

async function assertRefused(response: Response, status: number, text: RegExp): Promise<void> {
  const { error } = (await response.json()) as ErrorAnswer;
  assert.match(error.message, text);
  assert.equal(response.status, status);
}

/** fetch does not let anyone choose the Host header. */
function getAs(host: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const request = httpRequest(`${console_.origin}/api/overview`, { headers: { host } }, (response) => {
    response.resume();
    resolve(response.statusCode);
  });
  request.on('error', reject).end();
  return promise;
}

test('the page comes in the reader’s language with a policy that allows its own files only', async () => {
  const page = await fetchFrom('/', { headers: { 'accept-language': 'fr, zh-TW;q=0.8, en;q=0.5' } });
  const text = await page.text();
  assert.match(text, /<html lang="zh-CN">/);
  assert.doesNotMatch(text, /<script>|<style|style=|\son\w+=/);
  const policy = page.headers.get('content-security-policy') ?? '';
  for (const part of [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "frame-ancestors 'none'",
  ])
    assert.ok(policy.includes(part), part);
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  const script = await fetchFrom('/main.ts');
  assert.match(script.headers.get('content-type') ?? '', /^text\/javascript/);
  assert.doesNotMatch(await script.text(), /interface Page/);
  const etag = script.headers.get('etag') ?? '';
  assert.equal((await fetchFrom('/main.ts', { headers: { 'if-none-match': etag } })).status, 304);
  assert.equal((await fetchFrom('/..%2fsrc/main.ts')).status, 404);
});

test('other sites, other names and forged forms are refused', async () => {
  assert.equal(await getAs('localhost:1'), 200);
  assert.equal(await getAs('evil.example'), 421);
  assert.equal(await getAs('127.0.0.1.evil.example'), 421);
  await assertRefused(await post('/api/runs', {}, { origin: 'http://evil.example' }), 403, /Origin/);
  await assertRefused(await post('/api/runs', {}, { 'sec-fetch-site': 'cross-site' }), 403, /Sec-Fetch-Site/);
  await assertRefused(
    await fetchFrom('/api/overview', { headers: { 'sec-fetch-site': 'same-site' } }),
    403,
    /page/,
  );
  const forged = await fetchFrom('/api/runs', { method: 'POST', body: '{}' });
  await assertRefused(forged, 403, new RegExp(PAGE_HEADER));
  assert.equal(console_.fakes.trainer.started.length, 0);
});

test('what a service refuses comes with its status and text', async () => {
  await assertRefused(
    await post('/api/search/text', { index: 'none', text: '猫', topK: 3 }),
    404,
    /none: no such index/,
  );
  await assertRefused(await post('/api/search/text', { index: 'emoji', text: '', topK: 3 }), 400, /^text: /);
  await assertRefused(
    await post('/api/search/text', { index: 'emoji', text: '猫', topK: 1000 }),
    400,
    /^topK: /,
  );
  await assertRefused(await post('/api/runs', { trainData: '' }), 400, /^trainData: /);
  await assertRefused(await post('/api/runs/none/stop', {}), 404, /none: no such run/);
  await assertRefused(await post('/api/sessions/1/resolve', {}), 404, /no such session/);
  await assertRefused(await post('/api/sessions/one/resolve', {}), 400, /^id: /);
  await assertRefused(
    await post('/api/crawls', { queries: [' '], wanted: 1, refresh: false }),
    400,
    /queries/,
  );
  const long = '长'.repeat(10_000);
  await assertRefused(
    await post('/api/crawls', { queries: [long], wanted: 1, refresh: false }),
    400,
    /10000 characters/,
  );
  await assertRefused(await fetchFrom('/api/runs/none/events'), 404, /no such run/);
  await assertRefused(await fetchFrom('/api/images?query=..%2F..'), 404, /not in the cache/);
  const broken = {
    method: 'POST',
    headers: { [PAGE_HEADER]: '1', 'content-type': 'application/json' },
    body: '{',
  };
  await assertRefused(await fetchFrom('/api/runs', broken), 400, /JSON/i);
  const image = { method: 'POST', headers: { [PAGE_HEADER]: '1', 'content-type': 'image/png' } };
  const large = { ...image, body: new Uint8Array(MAX_IMAGE_BYTES + 1) };
  await assertRefused(await fetchFrom('/api/search/image?index=emoji&topK=3', large), 413, /too large/i);
});

test('a search names ids exactly, and pictures where there are some', async () => {
  const response = await post('/api/search/text', { index: 'emoji', text: '猫', topK: 5 });
  const { hits, index, model } = (await response.json()) as SearchAnswer;
  assert.deepEqual(hits, [
    { id: '7', score: 0.5, picture: '/pictures/emoji/7' },
    { id: '9007199254740993', score: 0.25, picture: null },
  ]);
  assert.deepEqual([index.pictures, model?.embeddingDimension], [true, 128]);
});

test('a picture is a document without rights; no name leaves its folder', async () => {
  const picture = await fetchFrom('/pictures/emoji/7');
  assert.equal(await picture.text(), SVG);
  assert.equal(picture.headers.get('content-type'), 'image/svg+xml');
  assert.equal(
    picture.headers.get('content-security-policy'),
    "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  );
  for (const path of ['emoji/8', '..%2f/secret', '%2e%2e/7', 'emoji/7%00', 'emoji/..%2fsecret', './secret'])
    assert.ok([400, 404].includes((await fetchFrom(`/pictures/${path}`)).status), path);
});

test('the overview tells which services serve; without a model it is the model that is missing', async () => {
  const ask = async () => (await (await fetchFrom('/api/overview')).json()) as Overview;
  const { services, model } = await ask();
  assert.deepEqual(
    services.map(({ name, state }) => [name, state]),
    ['encoder', 'trainer', 'ranker', 'crawler'].map((name) => [name, 'serving']),
  );
  assert.equal(model?.fingerprint, FINGERPRINT);
  console_.fakes.modelLoaded = false;
  assert.equal((await ask()).model, null);
  console_.fakes.modelLoaded = true;
});

/** Events of a stream by name, read until there are so many; then the page goes away. */
async function readEvents(path: string, count: number, headers: Record<string, string> = {}) {
  const leaving = new AbortController();
  const response = await fetchFrom(path, { headers, signal: leaving.signal });
  const events: { name: string; id: string | undefined; data: unknown }[] = [];
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string) => block.match(new RegExp(`^${name}: (.*)$`, 'm'))?.[1];
      const name = field('event');
      if (name) events.push({ name, id: field('id'), data: JSON.parse(field('data') ?? 'null') });
    }
    if (events.length >= count) break;
  }
  leaving.abort();
  return events;
}

test('a page that comes back gets what it missed, or everything when that is not known any more', async () => {
  const { trainer } = console_.fakes;
  trainer.add('resumed', 10);
  await until(() => trainer.watchers('resumed') === 1);
  trainer.step('resumed', 1, 5, 1e-3);
  const path = '/api/runs/resumed/events';
  await until(async () => JSON.stringify(await readEvents(path, 1)).includes('"loss":5'));
  const [history] = await readEvents(path, 1);
  assert.equal(history?.name, 'history');
  trainer.step('resumed', 2, 4, 1e-3);
  trainer.step('resumed', 3, 3, 1e-3);
  const missed = await readEvents(path, 2, { 'last-event-id': history?.id ?? '' });
  assert.deepEqual(
    missed.map(({ name, data }) => [name, (data as { step: number }).step]),
    [
      ['step', 2],
      ['step', 3],
    ],
  );
  const [anew] = await readEvents(path, 1, { 'last-event-id': 'another-9' });
  assert.equal(anew?.name, 'history');
  assert.match(JSON.stringify(anew.data), /"step":3/);
});

test('so many pages may watch, no more, and all of them end with the console', async () => {
  const { close, origin } = await startTestConsole(pictures);
  const open = () => fetch(`${origin}/api/crawls/events`);
  const streams = await Promise.all(Array.from({ length: MAX_STREAMS }, open));
  assert.ok(streams.every(({ status }) => status === 200));
  assert.equal((await open()).status, 429);
  const ended = Promise.all(streams.map((stream) => stream.text()));
  await close();
  await ended;
  await assert.rejects(open());
});
