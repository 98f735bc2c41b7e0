import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CrawlOutcome,
  type CrawlRequest,
  type CrawlResponse,
  FailureReason,
  QueryState,
} from '@online-cnclip/contracts/crawler/v1';
import { UnavailableError } from '@online-cnclip/foundation';
import type { CrawlerClient } from './clients.ts';
import { crawledImages } from './crawled-images.ts';

type Crawl = (requests: AsyncIterable<CrawlRequest>) => AsyncGenerator<CrawlResponse, void, void>;

const crawlerOf = (crawl: Crawl) => ({ crawl, close() {} }) as unknown as CrawlerClient;
const wanted = (count: number, number = 1) =>
  Array.from({ length: count }, (_, i) => ({ text: `q${i}`, number, of: 5 }));
const ok = (query: string, images: number) =>
  CrawlOutcome.fromPartial({
    state: QueryState.QUERY_STATE_OK,
    images: Array.from({ length: images }, (_, i) => ({ jpeg: Buffer.from(`${query}-${i + 1}`) })),
  });

test('answers come in the order of the queries, whatever order they ended in', async () => {
  const crawler = crawlerOf(async function* (requests) {
    const all: CrawlRequest[] = [];
    for await (const request of requests) all.push(request);
    assert.deepEqual([...new Set(all.map(({ wanted }) => wanted))], [5]);
    for (const { queryId, query } of all.reverse()) yield { queryId, outcome: ok(query, 2) };
  });
  const files: string[] = [];
  for await (const answer of crawledImages(crawler).images(wanted(3, 2)))
    files.push('file' in answer ? Buffer.from(answer.file).toString() : answer.missing);
  assert.deepEqual(files, ['q0-2', 'q1-2', 'q2-2']);
});

test('a query without an image says why', async () => {
  const outcomes = [
    ok('q0', 1),
    CrawlOutcome.fromPartial({ state: QueryState.QUERY_STATE_NO_RESULTS }),
    CrawlOutcome.fromPartial({
      state: QueryState.QUERY_STATE_DEFERRED,
      failure: FailureReason.FAILURE_REASON_RATE_LIMITED,
    }),
    CrawlOutcome.fromPartial({ state: QueryState.QUERY_STATE_DEFERRED }),
  ];
  const crawler = crawlerOf(async function* (requests) {
    for await (const { queryId } of requests) yield { queryId, outcome: outcomes[Number(queryId)] };
  });
  const answers: unknown[] = [];
  for await (const answer of crawledImages(crawler).images(wanted(4, 2))) answers.push(answer);
  assert.deepEqual(answers, [
    { missing: 'fewer-images' },
    { missing: 'no-results' },
    { missing: 'rate-limited' },
    { missing: 'deferred' },
  ]);
});

test('asks ahead of its reader, within bounds', async () => {
  let asked = 0;
  const gate = Promise.withResolvers<void>();
  const crawler = crawlerOf(async function* (requests) {
    const pending: CrawlRequest[] = [];
    const reading = (async () => {
      for await (const request of requests) {
        asked++;
        pending.push(request);
        if (asked === 1_024) gate.resolve();
      }
    })();
    await gate.promise;
    for (let i = 0; i < 3_000; i++) {
      while (pending.length === 0) await new Promise(setImmediate);
      const { queryId, query } = pending.shift() as CrawlRequest;
      yield { queryId, outcome: ok(query, 1) };
    }
    await reading;
  });
  let answered = 0;
  for await (const _ of crawledImages(crawler).images(wanted(3_000))) {
    answered++;
    assert.ok(asked - answered <= 1_024, `${asked} asked, ${answered} answered`);
  }
  assert.equal(answered, 3_000);
});

test('a stream that ends early is an error, not a shorter list', async () => {
  const crawler = crawlerOf(async function* (requests) {
    for await (const { queryId, query } of requests)
      if (queryId === 0n) yield { queryId, outcome: ok(query, 1) };
  });
  const read = async () => {
    for await (const _ of crawledImages(crawler).images(wanted(3)));
  };
  await assert.rejects(read(), UnavailableError);
});
