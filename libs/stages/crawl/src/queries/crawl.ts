import { setTimeout as sleep } from 'node:timers/promises';
import {
  abortError,
  InvalidInputError,
  type Logger,
  messageOf,
  UnavailableError,
} from '@online-cnclip/foundation';
import {
  type CachedImage,
  type CachedQuery,
  type Failure,
  type FailureReason,
  type ImageCache,
  MAX_IMAGES_PER_QUERY,
  type QueryOutcome,
  type QueryState,
  requireQuery,
  StorageFullError,
} from '@online-cnclip/image-cache';
import type { Downloader } from '../downloads/downloader.ts';
import { backoffOf } from '../manners/manners.ts';
import type { TokenBucket } from '../manners/token-bucket.ts';
import { NoSessionError, NotNowError } from '../sessions/lease.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { type AttemptEnd, attemptQuery } from './attempt.ts';
import type { PendingQueries, PendingQuery } from './pending-queries.ts';

/** Tries at a query before it ends as failed: at the second something else is wrong, the others are for bad luck. */
const MAX_ATTEMPTS = 4;

/** A failed query is asked again after so long at the soonest, doubled for each time that it failed, up to a day. */
const FAILED_RETRY_MS = 60_000;
const MAX_FAILED_RETRY_MS = 86_400_000;

/** A site that asks for more says that it wants nobody; it is asked again the next day. */
const MAX_REST_MS = 86_400_000;

/** Queries accepted at once, of all clients; further ones wait. */
const MAX_ACCEPTED = 1_024;

/** A site's stock changes: after so long it is asked again for what it did not have. */
const NO_RESULTS_AGE_MS = 7 * 86_400_000;

export interface CrawlQuery {
  readonly query: string;
  /** Images, 1 to 100. */
  readonly wanted: number;
  /** Whether to ask the site even when the cache has an answer. */
  readonly refresh: boolean;
}

export interface CrawlAnswer {
  readonly state: QueryState;
  /** Set when deferred or failed. */
  readonly failure: Failure | undefined;
  readonly retryAt: Date | undefined;
  /** In the site's order. */
  readonly images: readonly CachedImage[];
  readonly cached: boolean;
}

export interface CrawlOptions {
  readonly cache: ImageCache;
  readonly pending: PendingQueries;
  readonly sessions: Sessions;
  readonly downloader: Downloader;
  /** The site's. */
  readonly bucket: TokenBucket;
  /** How long the site is left alone that asks for it and does not say for how long; doubled each time. */
  readonly backoffMs: number;
  /** Before a query is tried again; doubled each time. */
  readonly retryMs: number;
  /** A query that would have to wait longer is deferred instead. */
  readonly maxDeferralMs: number;
  readonly logger: Logger;
  /** Told of each query that ended, not of those from the cache. */
  readonly onOutcome?: (state: QueryState, reason: FailureReason | undefined, ms: number) => void;
  readonly now?: () => number;
}

interface Work {
  readonly wanted: number;
  readonly answer: Promise<CrawlAnswer>;
}

/**
 * Fetches queries: from the cache what it has, from the site what it has not. One that was accepted is done whatever
 * becomes of the client, or of the process (see `resume`); it counts as done when its outcome is in the cache, which is
 * before anybody is told.
 */
export class Crawl {
  readonly #options: CrawlOptions;
  readonly #now: () => number;
  readonly #closing = new AbortController();
  readonly #draining = new AbortController();
  /** By normalised query. */
  readonly #work = new Map<string, Work>();
  #finishedWhileDraining = 0;
  /** Times in a row that the site asked to slow down. */
  #rests = 0;

  constructor(options: CrawlOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  get inFlight(): number {
    return this.#work.size;
  }

  /** Aborted when no more queries are taken. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  /**
   * @throws InvalidInputError naming the query or the count; UnavailableError when no more are taken, or the service
   *   ends before the query is done, which the next start then does.
   */
  async run(request: CrawlQuery): Promise<CrawlAnswer> {
    const normalized = requireQuery(request.query);
    requireWanted(request.wanted);
    for (let { refresh } = request; ; refresh = false) {
      this.#requireTaking();
      const cached = refresh ? undefined : this.#fromCache(request);
      if (cached) return cached;
      const other = this.#work.get(normalized);
      if (other && other.wanted >= request.wanted) return limited(await other.answer, request.wanted);
      // One that wants fewer images is waited for; so is whoever is first when too many are accepted.
      if (other || this.#work.size >= MAX_ACCEPTED) {
        await (other ? other.answer : Promise.race([...this.#work.values()].map(({ answer }) => answer)));
        continue;
      }
      return this.#accept(normalized, request);
    }
  }

  /** Goes on with the queries that were accepted before the process ended the last time. */
  resume(): void {
    const { cache, pending, logger } = this.#options;
    const left = pending.all();
    for (const { normalized, pending: query } of left) {
      const last = cache.get(normalized)?.lastAttemptAt.getTime() ?? 0;
      // The end came between its outcome and the crossing out.
      if (last >= query.acceptedAt) pending.remove(normalized);
      else this.#start(normalized, query).catch(() => {});
    }
    if (left.length > 0) logger.info({ queries: left.length }, 'queries of before are gone on with');
  }

  /** Takes no more queries. @returns how many were finished since, when none is left. */
  async drain(): Promise<number> {
    this.#draining.abort(new UnavailableError('the crawler is draining'));
    while (this.#work.size > 0)
      await Promise.allSettled([...this.#work.values()].map(({ answer }) => answer));
    return this.#finishedWhileDraining;
  }

  /** Stops; what is not done stays accepted. */
  async close(): Promise<void> {
    this.#draining.abort(new UnavailableError('the crawler is ending'));
    this.#closing.abort(new UnavailableError('the crawler is ending'));
    await Promise.allSettled([...this.#work.values()].map(({ answer }) => answer));
  }

  #requireTaking(): void {
    if (this.#draining.signal.aborted) throw abortError(this.#draining.signal);
  }

  #fromCache({ query, wanted }: CrawlQuery): CrawlAnswer | undefined {
    const record = this.#options.cache.get(query);
    return record && isAnswer(record, wanted, this.#now()) ? this.#answerOf(record, wanted, true) : undefined;
  }

  async #accept(normalized: string, { query, wanted, refresh }: CrawlQuery): Promise<CrawlAnswer> {
    const accepted: PendingQuery = { query, wanted, refresh, acceptedAt: this.#now() };
    try {
      this.#options.pending.add(normalized, accepted);
    } catch (error) {
      if (error instanceof StorageFullError) return storageFailure(error);
      throw error;
    }
    return this.#start(normalized, accepted);
  }

  #start(normalized: string, accepted: PendingQuery): Promise<CrawlAnswer> {
    const answer = this.#do(normalized, accepted).finally(() => {
      this.#work.delete(normalized);
      if (this.#draining.signal.aborted) this.#finishedWhileDraining += 1;
    });
    this.#work.set(normalized, { wanted: accepted.wanted, answer });
    return answer;
  }

  async #do(normalized: string, { query, wanted }: PendingQuery): Promise<CrawlAnswer> {
    const { cache, pending, onOutcome, logger } = this.#options;
    const startedAt = this.#now();
    try {
      const outcome = await this.#fetch(query, wanted);
      const record = cache.put(query, outcome);
      pending.remove(normalized);
      const reason = 'failure' in outcome ? outcome.failure.reason : undefined;
      onOutcome?.(outcome.state, reason, this.#now() - startedAt);
      if (reason) logger.info({ query, outcome }, 'query not done');
      return this.#answerOf(record, wanted, outcome.state !== 'OK' && record.images.length > 0);
    } catch (error) {
      if (!(error instanceof StorageFullError)) {
        if (this.#closing.signal.aborted) throw abortError(this.#closing.signal);
        logger.error({ query, err: error }, 'query failed');
        throw error;
      }
      // It stays accepted: there may be room at the next start.
      logger.error({ query, err: error }, 'outcome not kept');
      onOutcome?.('FAILED', 'storage', this.#now() - startedAt);
      return storageFailure(error);
    }
  }

  async #fetch(query: string, wanted: number): Promise<QueryOutcome> {
    const { sessions, retryMs, maxDeferralMs } = this.#options;
    const { signal } = this.#closing;
    for (let attempt = 1; ; attempt += 1) {
      let end: AttemptEnd;
      try {
        const lease = await sessions.lease(signal);
        end = await attemptQuery(query, wanted, lease, {
          ...this.#options,
          now: this.#now,
          restMs: this.#restMs,
        });
      } catch (error) {
        return this.#withoutSession(error);
      }
      if (end.kind === 'done') return this.#finish(query, end.outcome);
      const resumeAt = end.resumeAt ?? this.#now() + backoffOf(retryMs, attempt - 1);
      if (end.resumeAt !== undefined && (attempt >= MAX_ATTEMPTS || resumeAt - this.#now() > maxDeferralMs))
        return { state: 'DEFERRED', failure: end.failure, until: new Date(resumeAt) };
      if (attempt >= MAX_ATTEMPTS) return this.#failed(query, end.failure);
      await sleep(Math.max(0, resumeAt - this.#now()), undefined, { signal });
    }
  }

  #finish(query: string, outcome: QueryOutcome): QueryOutcome {
    this.#rests = 0;
    if (outcome.state !== 'FAILED') return outcome;
    return { ...this.#failed(query, outcome.failure), retryAt: new Date(this.#now() + MAX_FAILED_RETRY_MS) };
  }

  #withoutSession(error: unknown): QueryOutcome {
    const message = messageOf(error);
    if (error instanceof NotNowError) {
      const reason = error.why === 'daily-cap' ? 'no-session' : 'rate-limited';
      return { state: 'DEFERRED', failure: { reason, message }, until: new Date(error.until) };
    }
    // Not as a failed try counts: somebody has to log in, and then it is to go on at once.
    if (error instanceof NoSessionError)
      return {
        state: 'FAILED',
        failure: { reason: 'no-session', message },
        retryAt: new Date(this.#now()),
      };
    throw error;
  }

  #failed(query: string, failure: Failure): Extract<QueryOutcome, { state: 'FAILED' }> {
    const times = this.#options.cache.get(query)?.failedAttempts ?? 0;
    const delayMs = backoffOf(FAILED_RETRY_MS, times, MAX_FAILED_RETRY_MS);
    return { state: 'FAILED', failure, retryAt: new Date(this.#now() + delayMs) };
  }

  #answerOf(record: CachedQuery, wanted: number, cached: boolean): CrawlAnswer {
    const images = record.state === 'OK' ? this.#options.cache.images(record.normalized, wanted) : [];
    const isOk = record.state === 'OK' || record.state === 'NO_RESULTS';
    const { state } = record;
    return isOk
      ? { state, failure: undefined, retryAt: undefined, images, cached }
      : { state, failure: record.failure, retryAt: record.retryAt, images, cached };
  }

  readonly #restMs = (retryAfterMs: number | undefined): number => {
    const asked = retryAfterMs ?? backoffOf(this.#options.backoffMs, this.#rests);
    const restMs = Math.min(asked, MAX_REST_MS);
    this.#rests += 1;
    return restMs;
  };
}

function isAnswer(record: CachedQuery, wanted: number, now: number): boolean {
  const isTooSoon = record.retryAt !== undefined && record.retryAt.getTime() > now;
  if (record.state === 'OK') return record.wanted >= wanted || record.images.length >= wanted || isTooSoon;
  if (record.state === 'NO_RESULTS') return now - record.lastAttemptAt.getTime() < NO_RESULTS_AGE_MS;
  return isTooSoon;
}

function requireWanted(wanted: number): void {
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > MAX_IMAGES_PER_QUERY)
    throw new InvalidInputError(`${wanted} is not from 1 to ${MAX_IMAGES_PER_QUERY}`, { place: 'wanted' });
}

const storageFailure = (error: StorageFullError): CrawlAnswer => ({
  state: 'FAILED',
  failure: { reason: 'storage', message: error.message },
  retryAt: undefined,
  images: [],
  cached: false,
});

const limited = (answer: CrawlAnswer, wanted: number): CrawlAnswer => ({
  ...answer,
  images: answer.images.slice(0, wanted),
});
