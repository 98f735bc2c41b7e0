import type { CrawlerServiceService, CrawlRequest, CrawlResponse } from '@online-cnclip/contracts/crawler/v1';
import { answerStream, type CrawlAnswer, type Crawler } from '@online-cnclip/crawl';
import {
  ApplicationError,
  abortError,
  InvalidInputError,
  messageOf,
  NotFoundError,
  UnavailableError,
} from '@online-cnclip/foundation';
import type { FailureReason } from '@online-cnclip/image-cache';
import type { Handlers } from '@online-cnclip/service-kit';
import {
  cachedOutcomeMessage,
  failureReasonsOf,
  outcomeMessage,
  sessionMessage,
  sessionStatesOf,
} from './messages.ts';

/** Queries of one stream in work or answered and not yet read: a batch, with some MB of images. */
const MAX_STREAM_QUERIES = 128;

const DEFAULT_FAILURES = 100;
const MAX_FAILURES = 1_000;

/** What is known of the browser: found and started, or what to install. */
export type BrowserAnswer =
  | { readonly installed: true; readonly version: string; readonly executablePath: string }
  | { readonly installed: false; readonly advice: string };

export interface HandlerOptions {
  readonly crawler: Crawler;
  readonly dailyCap: number;
  checkBrowser(signal: AbortSignal): Promise<BrowserAnswer>;
  /** Told of each query that was answered, and whether the site was spared a request. */
  readonly onAnswer?: (cached: boolean) => void;
}

/** CrawlerService over the crawl stage: proto to domain and back, nothing else. */
export function createHandlers(options: HandlerOptions): Handlers<typeof CrawlerServiceService> {
  const { crawler, dailyCap, checkBrowser, onAnswer } = options;
  const { sessions, crawl, cache } = crawler;
  return {
    openSession: async ({ label }) => ({ session: sessionMessage(await sessions.open(label), dailyCap) }),

    watchSession: async function* ({ sessionId }, { signal, draining }) {
      // A watch has no end of its own.
      const ended = AbortSignal.any([signal, draining]);
      try {
        for await (const view of sessions.watch(sessionId, ended))
          yield { session: sessionMessage(view, dailyCap, true) };
      } catch (error) {
        if (signal.aborted || !draining.aborted) throw error;
        throw new UnavailableError('the crawler is ending', { cause: error });
      }
    },

    listSessions: async ({ states }) => ({
      sessions: sessions.list(sessionStatesOf(states)).map((view) => sessionMessage(view, dailyCap)),
    }),

    resolveChallenge: async ({ sessionId }) => ({
      session: sessionMessage(await sessions.resolve(sessionId), dailyCap),
    }),

    retireSession: async ({ sessionId }) => ({
      session: sessionMessage(await sessions.retire(sessionId), dailyCap),
    }),

    checkBrowser: async (_, { signal }) => {
      const answer = await checkBrowser(signal);
      return { version: '', executablePath: '', advice: '', ...answer };
    },

    crawl: (requests) =>
      answerStream(requests, (request) => crawlOne(crawl, request, onAnswer), {
        maxInFlight: MAX_STREAM_QUERIES,
        stop: crawl.draining,
      }),

    getImages: async ({ query, limit }) => {
      const record = cache.get(query);
      if (!record)
        throw new NotFoundError(`${JSON.stringify(query)} is not in the cache`, { place: 'query' });
      const images = cache.images(query, limitOf(limit, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY));
      return { outcome: cachedOutcomeMessage(record, images) };
    },

    listFailures: async ({ reasons, limit }) => {
      const filter = { reasons: failureReasonsOf(reasons) };
      const { failures, total } = cache.failures(filter, limitOf(limit, DEFAULT_FAILURES, MAX_FAILURES));
      return {
        failures: failures.map((record) => ({
          query: record.query,
          outcome: cachedOutcomeMessage(record, []),
          attempts: record.attempts,
          attemptTime: record.lastAttemptAt,
        })),
        total: BigInt(total),
      };
    },

    drain: async (_, { signal }) => ({ finished: BigInt(await unlessAborted(crawl.drain(), signal)) }),
  };
}

async function crawlOne(
  crawl: Crawler['crawl'],
  request: CrawlRequest,
  onAnswer?: (cached: boolean) => void,
): Promise<CrawlResponse> {
  const { queryId, query, wanted, refresh } = request;
  try {
    const answer = await crawl.run({ query, wanted: wanted || 1, refresh });
    onAnswer?.(answer.cached);
    return { queryId, outcome: outcomeMessage(answer) };
  } catch (error) {
    // A query that is no good is that query's end, not the stream's; nor is one that comes as the service ends.
    if (error instanceof InvalidInputError)
      return { queryId, outcome: notDone('FAILED', 'invalid-query', error) };
    if (error instanceof ApplicationError && crawl.draining.aborted)
      return { queryId, outcome: notDone('DEFERRED', 'no-session', error) };
    throw error;
  }
}

function notDone(state: CrawlAnswer['state'], reason: FailureReason, error: unknown) {
  const retryAt = state === 'DEFERRED' ? new Date() : undefined;
  const failure = { reason, message: messageOf(error) };
  return outcomeMessage({ state, failure, retryAt, images: [], cached: false });
}

function limitOf(limit: number, fallback: number, most: number): number {
  if (limit < 0 || limit > most)
    throw new InvalidInputError(`${limit} is not from 0 to ${most}`, { place: 'limit' });
  return limit || fallback;
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => aborted.reject(abortError(signal)), { once: true });
  return Promise.race([promise, aborted.promise]);
}
