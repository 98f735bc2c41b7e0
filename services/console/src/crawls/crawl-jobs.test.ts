import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CrawlerClient, createCrawlerClient } from '@online-cnclip/client';
import { FailureReason, QueryState } from '@online-cnclip/contracts/crawler/v1';
import { InvalidInputError, NotFoundError, ResourceExhaustedError } from '@online-cnclip/foundation';
import { FakeServices } from '../testing/fake-services.ts';
import { until } from '../testing/page-checks.ts';
import type { CrawlView } from '../wire.ts';
import { CrawlJobs, MAX_QUERIES } from './crawl-jobs.ts';

const fakes = new FakeServices();
let crawler: CrawlerClient;
const form = (...queries: string[]) => ({ queries, wanted: 1, refresh: false });

before(async () => {
  crawler = createCrawlerClient(await fakes.listen());
});
after(async () => {
  crawler.close();
  await fakes.close();
});

test('outcomes are counted by state and reason, and told as they come', async () => {
  const failed = { state: QueryState.QUERY_STATE_FAILED, failure: FailureReason.FAILURE_REASON_NAVIGATION };
  fakes.crawler.outcomes.set('坏', failed);
  const jobs = new CrawlJobs(crawler);
  const told: CrawlView[] = [];
  jobs.changes.addEventListener('change', (event) => told.push((event as CustomEvent<CrawlView>).detail));
  jobs.start(form('坏', '无', ' 坏 ', ''));
  await until(() => jobs.list()[0]?.state === 'done');
  const [view] = jobs.list();
  assert.deepEqual(view?.counts, { ok: 0, 'no-results': 1, deferred: 0, failed: 2 });
  assert.deepEqual(view?.failures, { navigation: 2 });
  assert.deepEqual([view?.total, view?.recent[0]?.query], [3, '坏']);
  assert.equal(told.at(-1)?.state, 'done');
  await jobs.close();
});

test('a crawl is cancelled, and only so many go on at once', async () => {
  const gate = Promise.withResolvers<void>();
  fakes.crawler.gate = gate.promise;
  const jobs = new CrawlJobs(crawler);
  for (let i = 0; i < 4; i++) jobs.start(form('慢'));
  assert.throws(() => jobs.start(form('慢')), ResourceExhaustedError);
  assert.equal((await jobs.cancel('1')).state, 'cancelled');
  await assert.rejects(jobs.cancel('99'), NotFoundError);
  await jobs.close();
  assert.ok(jobs.list().every(({ state }) => state === 'cancelled'));
  gate.resolve();
});

test('bad queries are refused by number, and a crawler that is away breaks the crawl off', async () => {
  const nobody = createCrawlerClient('127.0.0.1:1');
  const jobs = new CrawlJobs(nobody);
  assert.throws(() => jobs.start(form(' ')), InvalidInputError);
  assert.throws(() => jobs.start(form('好', '长'.repeat(257))), /query 2: has 257 characters/);
  assert.throws(() => jobs.start(form(...Array(MAX_QUERIES + 1).fill('多'))), /2001 are over the limit/);
  jobs.start(form('好'));
  await until(() => jobs.list()[0]?.state === 'broken');
  assert.match(jobs.list()[0]?.error ?? '', /127\.0\.0\.1:1/);
  await jobs.close();
  nobody.close();
});
