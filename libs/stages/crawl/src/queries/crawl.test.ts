import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { InvalidInputError, silentLogger, UnavailableError } from '@online-cnclip/foundation';
import { NavigationTimeoutError, PageCrashedError } from '../browser/errors.ts';
import { type Crawler, type CrawlerOptions, openCrawler } from '../crawler.ts';
import { FakeSite } from '../testing/fake-site.ts';
import { servePictures } from '../testing/picture-server.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { waitUntil } from '../testing/wait-until.ts';
import type { CrawlQuery } from './crawl.ts';

describe('crawl', () => {
  let server: Server;
  let port: number;
  let site: FakeSite;
  let folder: string;
  let crawler: Crawler;

  const open = async (options: Partial<CrawlerOptions> = {}): Promise<Crawler> =>
    openCrawler({
      dataFolder: folder,
      siteUrl: new URL(`http://127.0.0.1:${port}`),
      exempt: { host: '127.0.0.1', port },
      manners: { queryIntervalMs: 0, queryJitterMs: 0, dailyCap: 1_000, backoffMs: 5, imageIntervalMs: 0 },
      openBrowser: site.openBrowser,
      maxSessions: 4,
      leaseMs: 60_000,
      sessionWaitMs: 60_000,
      maxDeferralMs: 10_000,
      retryMs: 1,
      logger: silentLogger,
      ...options,
    });
  const logIn = async (): Promise<void> => {
    const { sessionId } = await crawler.sessions.open();
    await waitUntil(() => crawler.sessions.get(sessionId).state === 'READY', 'log-in');
  };
  const run = (query: string, changes: Partial<CrawlQuery> = {}) =>
    crawler.crawl.run({ query, wanted: 2, refresh: false, ...changes });
  const pictures = (query: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `http://127.0.0.1:${port}/${encodeURIComponent(query)}/${i}`);

  before(async () => {
    ({ server, port } = await servePictures());
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(async (context) => {
    folder = temporaryFolder(context as never);
    site = new FakeSite();
    site.candidatesOf = (query) => pictures(query, 6);
    crawler = await open();
  });
  afterEach(() => crawler.close());

  it('fetches what is wanted, once; then the cache answers', async () => {
    await logIn();
    const first = await run('杯子');
    assert.deepEqual([first.state, first.images.length, first.cached], ['OK', 2, false]);
    const second = await run('杯 子！');
    assert.deepEqual([second.state, second.images.length, second.cached], ['OK', 2, true]);
    assert.equal((await run('杯子', { wanted: 5 })).images.length, 5);
    assert.equal((await run('杯子', { wanted: 3 })).cached, true);
    assert.equal((await run('杯子', { refresh: true })).cached, false);
    assert.equal(site.searches.length, 3);
  });

  it('knows when the site had no more', async () => {
    await logIn();
    site.candidatesOf = (query) => pictures(query, 2);
    assert.equal((await run('杯子', { wanted: 5 })).images.length, 2);
    assert.equal((await run('杯子', { wanted: 5 })).cached, true);
    site.candidatesOf = () => [];
    assert.equal((await run('没有')).state, 'NO_RESULTS');
    assert.equal((await run('没有')).cached, true);
    assert.equal(site.searches.length, 2);
  });

  it('does a query once that many ask for at the same time', async () => {
    await logIn();
    const answers = await Promise.all([
      run('杯子'),
      run('杯子'),
      run('杯 子', { wanted: 1 }),
      run('杯子', { wanted: 3 }),
    ]);
    assert.deepEqual(
      answers.map(({ images }) => images.length),
      [2, 2, 1, 3],
    );
    assert.equal(site.searches.length, 2);
  });

  it('has one query in flight per session, over all sessions', async () => {
    await logIn();
    await logIn();
    site.searchMs = 5;
    await Promise.all(Array.from({ length: 20 }, (_, i) => run(`商品${i}`)));
    assert.equal(site.most, 2);
    assert.equal(new Set(site.searches.map(({ browser }) => browser)).size, 2);
  });

  it('tries again what is bad luck: a page that does not load, crashes, or lacks something', async () => {
    await logIn();
    site.answers.push(new NavigationTimeoutError('http://shop/', 1), new PageCrashedError('http://shop/'), {
      kind: 'profile-mismatch',
      detail: 'no #q',
    });
    assert.equal((await run('杯子')).state, 'OK');
    assert.equal(site.searches.length, 4);
  });

  it('goes on with a new browser when one died under its query', async () => {
    await logIn();
    const [browser] = site.browsers;
    assert.ok(browser);
    const search = browser.search.bind(browser);
    browser.search = async () => {
      browser.search = search;
      throw browser.die();
    };
    assert.equal((await run('杯子')).state, 'OK');
    assert.equal(site.browsers.length, 2);
  });

  it('fails at last, for a reason, and not again before its time', async () => {
    await logIn();
    for (let i = 0; i < 4; i += 1) site.answers.push(new NavigationTimeoutError('http://shop/', 1));
    const failed = await run('杯子');
    assert.deepEqual([failed.state, failed.failure?.reason], ['FAILED', 'navigation']);
    assert.ok((failed.retryAt?.getTime() ?? 0) > Date.now());
    assert.equal((await run('杯子')).cached, true);
    assert.equal(site.searches.length, 4);
    assert.equal(crawler.cache.failures().total, 1);
    assert.equal((await run('杯子', { refresh: true })).state, 'OK');
    assert.equal(crawler.cache.failures().total, 0);
  });

  it('leaves the site alone as long as it says, and tries no other session instead', async () => {
    await logIn();
    await logIn();
    site.answers.push({ kind: 'rate-limited', status: 429, retryAfterMs: 150 });
    const startedAt = Date.now();
    const answers = await Promise.all([run('一'), run('二'), run('三')]);
    assert.deepEqual(
      answers.map(({ state }) => state),
      ['OK', 'OK', 'OK'],
    );
    const limitedAt = site.searches[0]?.at ?? 0;
    // One that the other session had begun by then may end; none begins.
    const during = site.searches.filter(({ at }) => at > limitedAt + 20 && at < startedAt + 150);
    assert.deepEqual(during, []);
  });

  it('defers what would have to wait too long', async () => {
    await logIn();
    site.answers.push({ kind: 'rate-limited', status: 503, retryAfterMs: 60_000 });
    const deferred = await run('杯子');
    assert.deepEqual([deferred.state, deferred.failure?.reason], ['DEFERRED', 'rate-limited']);
    assert.ok((deferred.retryAt?.getTime() ?? 0) > Date.now() + 50_000);
    assert.equal((await run('别的')).state, 'DEFERRED');
    assert.equal(site.searches.length, 1);
  });

  it('parks the session of a challenge and goes on with another after a rest', async () => {
    await logIn();
    site.answers.push({ kind: 'challenge', screenshotPng: Buffer.from('picture') });
    const running = run('杯子');
    await waitUntil(() => crawler.sessions.list(['PARKED']).length === 1, 'parked');
    await logIn();
    assert.equal((await running).state, 'OK');
    assert.equal(crawler.sessions.list(['PARKED']).length, 1);
  });

  it('goes on with another session when one was logged out', async () => {
    await logIn();
    await logIn();
    site.answers.push({ kind: 'logged-out' });
    assert.equal((await run('杯子')).state, 'OK');
    assert.equal(crawler.sessions.list(['EXPIRED']).length, 1);
  });

  it('never takes a picture that is none', async () => {
    await logIn();
    const bad = (n: number) => `http://127.0.0.1:${port}/bad/${n}`;
    site.candidatesOf = (query) => [bad(0), ...pictures(query, 1), bad(1), ...pictures(query, 3)];
    assert.equal((await run('杯子', { wanted: 3 })).images.length, 3);
    site.candidatesOf = () => [bad(0), bad(1)];
    const failed = await run('坏');
    assert.deepEqual([failed.state, failed.failure?.reason, failed.images.length], ['FAILED', 'images', 0]);
    site.candidatesOf = (query) => [`http://127.0.0.1:${port}/slow-down`, ...pictures(query, 3)];
    // What there was before the host asked for rest; the cache is asked for the rest again.
    assert.ok((await run('慢', { wanted: 3 })).images.length >= 1);
  });

  it('says that nobody is logged in', async () => {
    await crawler.close();
    crawler = await open({ sessionWaitMs: 10 });
    const failed = await run('杯子');
    assert.deepEqual([failed.state, failed.failure?.reason], ['FAILED', 'no-session']);
    await logIn();
    assert.equal((await run('杯子')).state, 'OK');
  });

  it('gives up a search that hangs, with its browser', async () => {
    await crawler.close();
    crawler = await open({ leaseMs: 500 });
    await logIn();
    site.answers.push('hang');
    assert.equal((await run('杯子')).state, 'OK');
    assert.equal(site.browsers.length, 2);
  });

  it('refuses what is no query by name', async () => {
    await assert.rejects(run(''), InvalidInputError);
    await assert.rejects(run('长'.repeat(10_000)), {
      name: 'InvalidInputError',
      message: /"长+" and so on has 10000/,
    });
    await assert.rejects(run('../x'), InvalidInputError);
    await assert.rejects(run('a\u0000b'), InvalidInputError);
    await assert.rejects(run('杯子', { wanted: 101 }), { name: 'InvalidInputError', message: /101/ });
  });

  it('says that the disk is full, keeps the rest, and does it when there is room', async () => {
    await crawler.close();
    crawler = await open({ maxCacheBytes: 600_000 });
    await logIn();
    let done = 0;
    let last = await run('商品0');
    for (; last.state === 'OK' && done < 200; done += 1) last = await run(`商品${done + 1}`);
    assert.deepEqual([last.state, last.failure?.reason], ['FAILED', 'storage']);
    assert.equal(crawler.cache.images('商品0').length, 2);
    await crawler.close();
    crawler = await open();
    await logIn();
    await waitUntil(() => crawler.cache.get(`商品${done}`)?.state === 'OK', 'the query that did not fit');
  });

  it('goes on with accepted queries after a restart, and does none twice', async () => {
    await logIn();
    await run('做完了');
    site.searchMs = 60_000;
    const running = [run('一'), run('二'), run('三')].map((answer) =>
      assert.rejects(answer, UnavailableError),
    );
    await waitUntil(() => site.searches.length === 2, 'a search');
    await crawler.close();
    await Promise.all(running);
    site.searchMs = 1;
    site.searches.length = 0;
    crawler = await open();
    await logIn();
    await waitUntil(() => crawler.crawl.inFlight === 0, 'the rest');
    assert.deepEqual(site.searches.map(({ query }) => query).sort(), ['一', '三', '二'].sort());
    for (const query of ['一', '二', '三']) assert.equal((await run(query)).cached, true);
  });

  it('drains: finishes what it has, takes no more', async () => {
    await logIn();
    const running = [run('一'), run('二')];
    assert.equal(await crawler.crawl.drain(), 2);
    for (const answer of await Promise.all(running)) assert.equal(answer.state, 'OK');
    await assert.rejects(run('三'), UnavailableError);
  });

  it('has its data folder alone', async () => {
    // Held by our own parent, as far as the lock can tell.
    await crawler.close();
    writeFileSync(`${folder}/sessions/owner.pid`, String(process.ppid));
    await assert.rejects(open(), {
      name: 'FailedPreconditionError',
      message: new RegExp(`process ${process.ppid} has it`),
    });
    writeFileSync(`${folder}/sessions/owner.pid`, '999999999');
    crawler = await open();
  });
});
