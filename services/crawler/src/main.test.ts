// The service as a process of its own, with a real browser, on the fixture shop.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CrawlerClient } from '@online-cnclip/client';
import { FailureReason, QueryState, SessionState } from '@online-cnclip/contracts/crawler/v1';
import {
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  UnavailableError,
} from '@online-cnclip/foundation';
import {
  crawl,
  logIn,
  type ServiceProcess,
  Shop,
  spawnService,
  startCrawler,
  temporaryFolder,
  untilState,
} from './testing.ts';

const { QUERY_STATE_OK, QUERY_STATE_FAILED } = QueryState;
const PNG = Buffer.from('\x89PNG', 'latin1');

interface Set {
  readonly shop: Shop;
  readonly folder: string;
  readonly crawler: ServiceProcess & { client: CrawlerClient };
  readonly client: CrawlerClient;
}

async function setUp(context: TestContext, flags: readonly string[] = []): Promise<Set> {
  const shop = await Shop.start(context);
  const folder = temporaryFolder(context);
  const crawler = await startCrawler(context, shop, folder, flags);
  return { shop, folder, crawler, client: crawler.client };
}

test('from the QR code to images in the cache, and back after a restart without a new scan', async (context) => {
  const key = join(temporaryFolder(context), 'session.key');
  writeFileSync(key, 'ab'.repeat(32));
  const { shop, folder, crawler, client } = await setUp(context, ['--sealing-key-file', key]);
  const browser = await client.checkBrowser({});
  assert.equal(browser.installed, true);
  assert.match(browser.version, /^(Headless)?Chrome\/\d+/);

  const { sessionId, seen } = await logIn(client, shop, 'first');
  const waiting = seen.find(({ state }) => state === SessionState.SESSION_STATE_LOGIN_WAIT);
  assert.deepEqual(waiting?.qrCode?.png.subarray(0, 4), PNG);
  assert.ok((waiting?.qrCode?.expireTime?.getTime() ?? 0) > Date.now());
  assert.equal(waiting?.qrCode?.attempt, 1);

  const [cat, bad, same, none] = await crawl(client, ['猫', '../../x', ' 猫', '没有这种东西的']);
  assert.deepEqual([cat?.state, cat?.images.length, cat?.cached], [QUERY_STATE_OK, 2, false]);
  assert.deepEqual(
    [bad?.state, bad?.failure],
    [QUERY_STATE_FAILED, FailureReason.FAILURE_REASON_INVALID_QUERY],
  );
  assert.deepEqual(same?.images, cat?.images);
  assert.equal(none?.state, QueryState.QUERY_STATE_NO_RESULTS);
  const [image] = cat?.images ?? [];
  assert.equal(image?.sessionId, sessionId);
  assert.match(image?.sourceUrl ?? '', new RegExp(`^http://${shop.address}/img/`));
  assert.equal(image?.sourceSha256.length, 32);

  const codes = (await shop.paths('/member/code.png')).length;
  crawler.child.kill('SIGTERM');
  assert.deepEqual(await once(crawler.child, 'exit'), [0, null]);
  assert.ok(!existsSync(join(folder, 'sessions/browsers')), 'nothing that a browser wrote is left');
  const again = await startCrawler(context, shop, folder, ['--sealing-key-file', key]);
  await untilState(again.client, sessionId, SessionState.SESSION_STATE_READY);
  const searches = (await shop.paths('/search?')).length;
  assert.equal((await crawl(again.client, ['猫']))[0]?.cached, true);
  assert.equal((await shop.paths('/search?')).length, searches);
  assert.equal((await crawl(again.client, ['狗']))[0]?.state, QUERY_STATE_OK);
  assert.equal((await shop.paths('/member/code.png')).length, codes);
  assert.deepEqual((await again.client.getImages({ query: '猫', limit: 1 })).outcome?.images, [image]);
});

test('faults of pages and pictures: each query ends well or for its reason, and no image is wrong', async (context) => {
  const { shop, client } = await setUp(context);
  await logIn(client, shop);
  const once = { times: 1 };
  const passing = {
    狗: 'rate-limited',
    猫: 'unavailable',
    马: 'server-error',
    猪: 'reset',
    牛: 'crash',
    羊: 'changed-markup',
  };
  const pictures = {
    鱼: 'html-image',
    鸡: 'truncated-image',
    虎: 'bomb-image',
    鼠: 'reset-image',
    龙: 'redirect-image',
    蛇: 'missing-image',
    猴: 'duplicate-images',
  };
  await shop.setFaults(
    ...Object.entries(passing).map(([query, fault]) => ({ fault, query, ...once })),
    ...Object.entries(pictures).map(([query, fault]) => ({ fault, query })),
    { fault: 'unresolvable-images', query: '兔' },
  );
  const queries = [...Object.keys(passing), ...Object.keys(pictures)];
  for (const [i, outcome] of (await crawl(client, queries)).entries()) {
    assert.equal(outcome?.state, QUERY_STATE_OK, `${queries[i]}: ${outcome?.status?.message}`);
    assert.equal(
      new Set(outcome?.images.map(({ sourceSha256 }) => sourceSha256.toString('hex'))).size,
      outcome?.images.length,
    );
    for (const { sourceUrl } of outcome?.images ?? []) assert.doesNotMatch(sourceUrl, /fault=/);
  }
  const [rabbit] = await crawl(client, ['兔']);
  assert.deepEqual(
    [rabbit?.state, rabbit?.failure, rabbit?.images],
    [QUERY_STATE_FAILED, FailureReason.FAILURE_REASON_IMAGES, []],
  );
  const { failures, total } = await client.listFailures({
    reasons: [FailureReason.FAILURE_REASON_IMAGES],
    limit: 0,
  });
  assert.deepEqual([failures.map(({ query }) => query), total], [['兔'], 1n]);
});

test('a challenge is parked with a picture of it, untouched, until a person has answered', async (context) => {
  const { shop, client } = await setUp(context);
  const { sessionId } = await logIn(client, shop);
  await shop.setFaults({ fault: 'challenge', query: '狗', times: 1 });
  const crawling = crawl(client, ['狗']);
  await untilState(client, sessionId, SessionState.SESSION_STATE_PARKED);
  for await (const { session } of client.watchSession({ sessionId })) {
    assert.deepEqual(session?.challengePng.subarray(0, 4), PNG);
    break;
  }
  // Not yet answered at the shop: it stays parked.
  await client.resolveChallenge({ sessionId });
  await untilState(client, sessionId, SessionState.SESSION_STATE_PARKED);
  await shop.control('POST', 'answer', {});
  await client.resolveChallenge({ sessionId });
  assert.equal((await crawling)[0]?.state, QUERY_STATE_OK);
  assert.deepEqual(await shop.control('GET', 'inputs'), { inputs: [] });
  await assert.rejects(client.resolveChallenge({ sessionId }), FailedPreconditionError);
});

test('a session that is logged out half-way logs in again when somebody asks for it', async (context) => {
  const { shop, client } = await setUp(context);
  const { sessionId } = await logIn(client, shop);
  await shop.setFaults({ fault: 'logged-out', query: '狗', times: 1 });
  const crawling = crawl(client, ['狗']);
  await untilState(client, sessionId, SessionState.SESSION_STATE_EXPIRED);
  await client.resolveChallenge({ sessionId });
  await untilState(client, sessionId, SessionState.SESSION_STATE_LOGIN_WAIT);
  await shop.control('POST', 'phone');
  assert.equal((await crawling)[0]?.state, QUERY_STATE_OK);
  const { session } = await client.retireSession({ sessionId });
  assert.equal(session?.state, SessionState.SESSION_STATE_RETIRED);
  assert.deepEqual((await client.listSessions({ states: [] })).sessions, []);
  await assert.rejects(client.retireSession({ sessionId: 99n }), NotFoundError);
});

test('drain finishes what is accepted and takes no more', async (context) => {
  const { shop, client, crawler } = await setUp(context);
  await logIn(client, shop);
  const crawling = crawl(client, ['狗', '猫', '马']);
  while ((await shop.paths('/search?')).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const { finished } = await client.drain({});
  assert.ok(finished >= 1n);
  for (const outcome of await crawling) assert.equal(outcome?.state, QUERY_STATE_OK);
  await assert.rejects(crawl(client, ['牛']), UnavailableError);
  const metrics = await (await fetch(`http://${crawler.metrics}/metrics`)).text();
  assert.match(metrics, /onlinecnclip_crawler_queries_total\{state="OK",reason="",service="crawler"\} 3/);
  assert.match(metrics, /onlinecnclip_crawler_usable_sessions\{service="crawler"\} 1/);
});

test('without a browser it says what to install, and opens no session', async (context) => {
  const { client } = await setUp(context, ['--browser-path', '/nowhere/chromium']);
  const { installed, advice } = await client.checkBrowser({});
  assert.equal(installed, false);
  assert.match(advice, /\/nowhere\/chromium: is no executable file/);
  await assert.rejects(client.openSession({ label: '' }), FailedPreconditionError);
  assert.deepEqual((await client.listSessions({ states: [] })).sessions, []);
});

test('bad input is named: states, reasons, limits, counts', async (context) => {
  const { client } = await setUp(context, ['--browser-path', '/nowhere/chromium', '--session-wait-ms', '0']);
  const named = (text: RegExp) => (error: Error) =>
    error instanceof InvalidInputError && text.test(error.message);
  await assert.rejects(client.listSessions({ states: [99 as never] }), named(/states: 99 is not known/));
  await assert.rejects(
    client.listFailures({ reasons: [77 as never], limit: 0 }),
    named(/reasons: 77 is not known/),
  );
  await assert.rejects(client.listFailures({ reasons: [], limit: 1_001 }), named(/limit: 1001/));
  await assert.rejects(client.getImages({ query: '', limit: 0 }), named(/query: ""/));
  await assert.rejects(client.getImages({ query: '没有', limit: 0 }), NotFoundError);
  await assert.rejects(client.openSession({ label: 'x'.repeat(65) }), named(/label/));
  const outcomes = await crawl(client, ['', '长'.repeat(10_000), 'a\u0000b', '好'], 1);
  assert.deepEqual(
    outcomes.map((outcome) => outcome?.failure),
    [...Array(3).fill(FailureReason.FAILURE_REASON_INVALID_QUERY), FailureReason.FAILURE_REASON_NO_SESSION],
  );
  assert.match((await crawl(client, ['好'], 101))[0]?.status?.message ?? '', /wanted: 101/);
});

test('it does not start with a key of the wrong length, too little manners, or a wrong profile', async (context) => {
  const folder = temporaryFolder(context);
  const refusal = async (...flags: string[]): Promise<string> => {
    const { child, log } = spawnService(context, 'crawler', [
      '--metrics-address',
      'off',
      '--data-folder',
      join(folder, 'data'),
      ...flags,
    ]);
    const [code] = await once(child, 'exit');
    assert.notEqual(code, 0);
    return log;
  };
  const key = join(folder, 'short.key');
  writeFileSync(key, 'x'.repeat(16));
  assert.match(await refusal('--sealing-key-file', key), /short\.key: has 16 bytes, not 32/);
  assert.match(await refusal('--query-interval-ms', '7999'), /queryIntervalMs: 7999 is less than 8000/);
  assert.match(await refusal('--fixture-address', '10.0.0.1:80'), /is no loopback address/);
  const profile = join(folder, 'profile.yaml');
  writeFileSync(profile, 'version: 1\nname: broken\n');
  assert.match(await refusal('--site-profile', profile), /profile\.yaml/);
  assert.deepEqual(readdirSync(folder).includes('data') && existsSync(join(folder, 'data/cache')), false);
});
