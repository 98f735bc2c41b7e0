import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { silentLogger } from '@online-cnclip/foundation';
import sharp from 'sharp';
import { createShop, type Shop } from './shop.ts';

let shop: Shop;
let origin: string;
let session: string;

before(async () => {
  shop = createShop({ seed: 1, codeLifetimeMs: 60_000, latencyMs: 0, logger: silentLogger });
  origin = `http://${await shop.listen('127.0.0.1', 0)}`;
});
after(() => shop?.close());
beforeEach(async () => {
  await control('PUT', 'faults', { rules: [] });
  await control('DELETE', 'record');
  ({ session } = await control<{ session: string }>('POST', 'log-in'));
});

async function control<T>(method: string, call: string, body?: unknown): Promise<T> {
  const answer = await fetch(`${origin}/control/${call}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as T;
}

const open = (path: string, cookie = session): Promise<Response> =>
  fetch(origin + path, { headers: { cookie: `shop_session=${cookie}` }, redirect: 'manual' });

const search = async (query: string): Promise<string> =>
  (await open(`/search?q=${encodeURIComponent(query)}`)).text();
const imagesOf = (html: string): string[] =>
  [...html.matchAll(/<div class="item">.*?data-src="([^"]+)"/g)].map(([, address = '']) => address);

test('results are there for those who are logged in, the best match first in five different pictures', async () => {
  assert.equal((await open('/search?q=猫', 'nobody')).headers.get('location'), '/member/login');
  const images = imagesOf(await search('猫'));
  assert.deepEqual(
    images.slice(0, 5),
    [0, 1, 2, 3, 4].map((variation) => `//${new URL(origin).host}/img/1f408/${variation}`),
  );
  assert.match(await search('猫'), /class="item-ad"/);
  assert.match(await search('没有的东西'), /item-not-found/);
  const hostile = await search('"><script>alert(1)</script>');
  assert.ok(!hostile.includes('<script>alert'), 'the query is markup');
});

test('pictures of one product differ, and are the same each time', async () => {
  const fingerprints: string[] = [];
  for (let variation = 0; variation < 5; variation++) {
    const bytes = Buffer.from(await (await open(`/img/1f34e/${variation}`)).arrayBuffer());
    const again = Buffer.from(await (await open(`/img/1f34e/${variation}`)).arrayBuffer());
    assert.ok(bytes.equals(again));
    const { width, height } = await sharp(bytes).metadata();
    assert.deepEqual([width, height], [300, 300]);
    fingerprints.push(await fingerprint(bytes));
  }
  for (const [i, one] of fingerprints.entries())
    for (const other of fingerprints.slice(i + 1))
      assert.ok(
        distance(one, other) > 10,
        `${distance(one, other)} of 64 bits differ: taken for one picture`,
      );
  assert.equal((await open('/img/1f34e/5')).status, 404);
  assert.equal((await open('/img/../1f34e/0')).status, 404);
});

/** Whether each of 8 x 8 cells is lighter than its neighbour: what perceptual duplicates are usually found by. */
async function fingerprint(bytes: Buffer): Promise<string> {
  const grey = await sharp(bytes).greyscale().resize(9, 8, { fit: 'fill' }).raw().toBuffer();
  return Array.from({ length: 64 }, (_, i) => {
    const at = Math.floor(i / 8) * 9 + (i % 8);
    return (grey[at] ?? 0) < (grey[at + 1] ?? 0) ? '1' : '0';
  }).join('');
}
const distance = (a: string, b: string): number => [...a].filter((bit, i) => bit !== b[i]).length;

const stateOf = async (answer: Response): Promise<string> =>
  ((await answer.json()) as { state: string }).state;

test('a code is scanned by opening its address once and confirmed by opening it again', async () => {
  const page = await (await open('/member/login', '')).text();
  const token = /token=([0-9a-f-]+)/.exec(page)?.[1] ?? '';
  const state = async (): Promise<Response> => open(`/member/code-state?token=${token}`, '');
  const { codes } = await control<{ codes: { token: string; url: string }[] }>('GET', 'codes');
  const url = codes.find((code) => code.token === token)?.url ?? '';
  assert.equal(await stateOf(await state()), 'waiting');
  await fetch(url);
  assert.equal(await stateOf(await state()), 'scanned');
  await fetch(url);
  const confirmed = await state();
  assert.equal(await stateOf(confirmed), 'confirmed');
  const cookie = /shop_session=([0-9a-f-]+); Path=\/; HttpOnly/.exec(
    confirmed.headers.get('set-cookie') ?? '',
  )?.[1];
  assert.equal((await open('/search?q=猫', cookie)).status, 200);
  assert.equal(await stateOf(await state()), 'expired', 'a code logs in once');
});

test('faults come by query, by rate and as often as they are to', async () => {
  await control('PUT', 'faults', {
    rules: [
      { fault: 'rate-limited', query: '猫', times: 1, retryAfterSeconds: 9 },
      { fault: 'challenge', query: '狗' },
      { fault: 'no-results', rate: 0.2 },
    ],
  });
  const limited = await open(`/search?q=${encodeURIComponent('猫')}`);
  assert.deepEqual([limited.status, limited.headers.get('retry-after')], [429, '9']);
  assert.equal((await open(`/search?q=${encodeURIComponent('猫')}`)).status, 200);
  const queries = Array.from({ length: 200 }, (_, i) => `猫${i}`);
  const hitsSoFar = async (): Promise<number> => {
    const { hits } = await control<{ hits: Record<string, number> }>('GET', 'faults');
    return hits['no-results'] ?? 0;
  };
  const before = await hitsSoFar();
  await Promise.all(queries.map(search));
  const first = (await hitsSoFar()) - before;
  assert.ok(first > 20 && first < 60, `${first} of 200 at a rate of a fifth`);
  await Promise.all(queries.map(search));
  assert.equal((await hitsSoFar()) - before, 2 * first, 'the same ones each time');
  // Challenged once, challenged until a person has answered.
  await search('狗');
  assert.equal((await open('/search?q=1')).headers.get('location'), '/challenge');
  assert.equal((await control<{ answered: number }>('POST', 'answer', {})).answered, 1);
  assert.equal((await open('/search?q=1')).status, 200);
  await assert.rejects(control('PUT', 'faults', { rules: [{ fault: 'earthquake' }] }), /rules\.0\.fault/);
  await assert.rejects(control('GET', 'nothing'), /no such call/);
});

test('image faults spoil the images that they are to, and no other', async () => {
  await control('PUT', 'faults', { rules: [{ fault: 'truncated-image', images: 2 }] });
  const images = imagesOf(await search('猫'));
  assert.deepEqual(images.map((address) => address.includes('fault=truncated-image')).slice(0, 4), [
    true,
    true,
    false,
    false,
  ]);
  const get = async (path: string): Promise<Buffer> => Buffer.from(await (await open(path)).arrayBuffer());
  const whole = await get('/img/1f408/0');
  const truncated = await get('/img/1f408/0?fault=truncated-image');
  assert.ok(truncated.length < whole.length && whole.subarray(0, truncated.length).equals(truncated));
  assert.match((await get('/img/1f408/0?fault=html-image')).toString(), /<!doctype html>/);
  const bomb = await get('/img/1f408/0?fault=bomb-image');
  const { width, height } = await sharp(bomb, { limitInputPixels: false }).metadata();
  assert.deepEqual([width, height], [100_000, 100_000]);
  assert.ok(bomb.length < 1_000);
  const redirect = await open('/img/1f408/0?fault=redirect-image');
  assert.equal(redirect.headers.get('location'), 'http://169.254.169.254/latest/meta-data/');
  await assert.rejects(get('/img/1f408/0?fault=reset-image'));
  const dripping = request(`${origin}/img/1f408/0?fault=drip-image`).end();
  const first = await new Promise<Buffer>((resolve, reject) => {
    dripping.on('response', (response) => response.once('data', resolve)).on('error', reject);
  });
  assert.equal(first.length, 1);
  dripping.destroy();
});

test('requests and inputs are recorded with their session, control calls are not', async () => {
  await search('猫');
  await fetch(`${origin}/challenge/input`, {
    method: 'POST',
    body: 'click',
    headers: { cookie: `shop_session=${session}` },
  });
  const { requests } = await control<{ requests: { path: string; session: string; host: string }[] }>(
    'GET',
    'requests',
  );
  assert.deepEqual(
    requests.map(({ path, session: by }) => [path, by]),
    [
      [`/search?q=${encodeURIComponent('猫')}`, session],
      ['/challenge/input', session],
    ],
  );
  const { inputs } = await control<{ inputs: { kind: string; session: string }[] }>('GET', 'inputs');
  assert.deepEqual(
    inputs.map(({ kind, session: by }) => [kind, by]),
    [['click', session]],
  );
});
