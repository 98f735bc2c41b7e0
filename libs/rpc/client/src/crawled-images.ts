import {
  type CrawlOutcome,
  type CrawlRequest,
  FailureReason,
  QueryState,
} from '@online-cnclip/contracts/crawler/v1';
import { DataLossError, UnavailableError } from '@online-cnclip/foundation';
import type { CrawlerClient } from './clients.ts';

/** Queries that are with the crawler at a time: it chooses their order, and works on while their reader computes. */
const QUERIES_AHEAD = 1_024;

/** Image number `number` (from 1) of the `of` that are to be fetched for a query. */
export interface WantedImage {
  readonly text: string;
  readonly number: number;
  readonly of: number;
}

export type CrawledAnswer =
  | { readonly file: Uint8Array; readonly cached: boolean }
  /** Why there is none: the contract's state or reason, in kebab-case. */
  | { readonly missing: string };

/** Images fetched by the crawler while they are used. */
export interface CrawledImages {
  readonly mode: 'crawl';
  /**
   * One answer per query, in the order of the queries.
   *
   * @throws UnavailableError when the crawler is not there or drains; the signal's reason.
   */
  images(
    queries: Iterable<WantedImage>,
    signal?: AbortSignal,
  ): AsyncGenerator<CrawledAnswer, void, undefined>;
  close(): Promise<void>;
}

/** @param crawler is closed with the images. */
export function crawledImages(crawler: CrawlerClient): CrawledImages {
  return {
    mode: 'crawl',
    images: (queries, signal) => crawl(crawler, queries, signal),
    close: async () => crawler.close(),
  };
}

async function* crawl(
  crawler: CrawlerClient,
  queries: Iterable<WantedImage>,
  signal: AbortSignal | undefined,
): AsyncGenerator<CrawledAnswer, void, undefined> {
  const asked = new Map<bigint, WantedImage>();
  const answers = new Map<bigint, CrawledAnswer>();
  let room = Promise.withResolvers<void>();
  let [sent, next] = [0n, 0n];
  let isOver = false;
  async function* requests(): AsyncGenerator<CrawlRequest, void, undefined> {
    for (const query of queries) {
      while (sent - next >= QUERIES_AHEAD && !isOver) await room.promise;
      if (isOver) return;
      asked.set(sent, query);
      yield { queryId: sent++, query: query.text, wanted: query.of, refresh: false };
    }
  }
  try {
    for await (const { queryId, outcome } of crawler.crawl(requests(), signal ? { signal } : {})) {
      const query = asked.get(queryId);
      if (!query || !outcome)
        throw new DataLossError(`the crawler answered query ${queryId}, which it was not asked`);
      asked.delete(queryId);
      answers.set(queryId, answerOf(query, outcome));
      for (let answer = answers.get(next); answer; answer = answers.get(next)) {
        answers.delete(next++);
        room.resolve();
        room = Promise.withResolvers();
        yield answer;
      }
    }
  } finally {
    isOver = true;
    room.resolve();
  }
  if (asked.size > 0) throw new UnavailableError(`the crawler left ${asked.size} queries unanswered`);
}

function answerOf({ number }: WantedImage, { state, failure, images, cached }: CrawlOutcome): CrawledAnswer {
  if (state === QueryState.QUERY_STATE_OK) {
    const image = images[number - 1];
    return image ? { file: image.jpeg, cached } : { missing: 'fewer-images' };
  }
  return {
    missing:
      nameOf(FailureReason, failure, 'FAILURE_REASON_') ??
      nameOf(QueryState, state, 'QUERY_STATE_') ??
      'unknown',
  };
}

/** `rate-limited` of FAILURE_REASON_RATE_LIMITED; nothing of the unspecified one. */
function nameOf(values: Readonly<Record<string, number>>, value: number, prefix: string): string | undefined {
  const name = Object.keys(values).find((key) => values[key] === value);
  return value === 0 ? undefined : name?.slice(prefix.length).toLowerCase().replaceAll('_', '-');
}
