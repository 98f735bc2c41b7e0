// Logging in and crawling against a crawler that is played by the test.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CrawlRequest,
  CrawlResponse,
  FailureReason,
  QueryState,
  Session,
  SessionState,
} from '@online-cnclip/contracts/crawler/v1';
import { FailedPreconditionError } from '@online-cnclip/foundation';
import type { ServiceClients } from '../services.ts';
import type { JobContext } from './context.ts';
import { crawlQueries } from './crawl.ts';
import { logIn, requireBrowser } from './log-in.ts';

const QUERIES = ['猫', '狗', '鱼'].map((text, id) => ({ id, text, itemId: id }));

function contextWith(crawler: object): JobContext & { readonly notes: string[] } {
  const notes: string[] = [];
  const task = { update: () => {}, finish: (detail = '') => void notes.push(detail) };
  const progress = { note: (line: string) => void notes.push(line), start: () => task };
  const clients = { crawler } as unknown as ServiceClients;
  return { clients, progress, signal: new AbortController().signal, notes };
}

/** A crawler whose n-th session goes through the n-th list of states. */
function sessionsThat(...lives: Session[][]) {
  let opened = 0;
  return {
    openSession: async () => ({ session: Session.fromPartial({ sessionId: BigInt(++opened) }) }),
    async *watchSession({ sessionId }: { sessionId: bigint }) {
      for (const session of lives[Number(sessionId) - 1] ?? []) yield { session };
    },
    opened: () => opened,
  };
}

const inState = (state: SessionState, reason = '') => Session.fromPartial({ sessionId: 1n, state, reason });
const ready = inState(SessionState.SESSION_STATE_READY);
const failed = inState(SessionState.SESSION_STATE_RETIRED, 'the page was gone');

test('logs in as many sessions as asked for, and once more where one does not come up', async () => {
  const crawler = sessionsThat([inState(SessionState.SESSION_STATE_NEW), ready], [failed], [ready]);
  const context = contextWith(crawler);
  await logIn(context, '127.0.0.1:8070', 2);
  assert.equal(crawler.opened(), 3);
  assert.match(context.notes.join(), /once more: session 1: did not log in: the page was gone/);
});

test('sessions that never come up are an error with the reason of the last', async () => {
  const crawler = sessionsThat([failed], [failed], [inState(SessionState.SESSION_STATE_PARKED)], [ready]);
  await assert.rejects(
    logIn(contextWith(crawler), '127.0.0.1:8070', 1),
    (error: Error) => error instanceof FailedPreconditionError && /SESSION_STATE_PARKED/.test(error.message),
  );
  assert.equal(crawler.opened(), 3);
});

test('a missing browser is told with what to install', async () => {
  const answer = (installed: boolean) => ({
    checkBrowser: async () => ({
      installed,
      version: 'Chrome/156',
      executablePath: '',
      advice: 'install chromium',
    }),
  });
  await assert.rejects(requireBrowser(contextWith(answer(false))), /install chromium/);
  const context = contextWith(answer(true));
  await requireBrowser(context);
  assert.match(context.notes.join(), /Chrome\/156/);
});

/** A crawler that answers query n with the n-th outcome. */
const answering = (...outcomes: CrawlResponse['outcome'][]) => ({
  async *crawl(requests: Iterable<CrawlRequest>) {
    for (const { queryId } of requests) yield { queryId, outcome: outcomes[Number(queryId)] };
  },
});
const outcome = (state: QueryState, images = 0, cached = false) =>
  CrawlResponse.fromPartial({
    outcome: {
      ...{ state, cached, failure: FailureReason.FAILURE_REASON_UNSPECIFIED },
      status: { code: 0, message: state === QueryState.QUERY_STATE_FAILED ? 'the page did not load' : '' },
      images: Array.from({ length: images }, () => ({})),
    },
  }).outcome;

test('a crawl counts every way that a query ends', async () => {
  const context = contextWith(
    answering(
      outcome(QueryState.QUERY_STATE_OK, 5, true),
      outcome(QueryState.QUERY_STATE_NO_RESULTS),
      outcome(QueryState.QUERY_STATE_FAILED),
    ),
  );
  const counts = await crawlQueries(context, QUERIES, 5);
  assert.deepEqual(counts, { queries: 3, cached: 1, images: 5, no_results: 1, failed: 1 });
  assert.match(context.notes.join(), /the first query that failed: query 2: the page did not load/);
});

test('a crawl without a single image is an error', async () => {
  const nothing = outcome(QueryState.QUERY_STATE_NO_RESULTS);
  await assert.rejects(
    crawlQueries(contextWith(answering(nothing, nothing, nothing)), QUERIES, 5),
    /no image/,
  );
});
