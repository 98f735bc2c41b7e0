import { setTimeout as sleep } from 'node:timers/promises';
import { abortError, type Logger, UnavailableError } from '@online-cnclip/foundation';
import type { SiteBrowser } from '../browser/site-browser.ts';
import type { TokenBucket } from '../manners/token-bucket.ts';
import { type Lease, type LeaseEnd, LeaseLostError, NoSessionError, NotNowError } from './lease.ts';
import type { LiveSession } from './live-session.ts';
import { dayOf, type SessionRecord } from './session-record.ts';

export interface LeaseDeskOptions {
  sessions(): Iterable<LiveSession>;
  readonly bucket: TokenBucket;
  readonly dailyCap: number;
  readonly queryIntervalMs: number;
  readonly queryJitterMs: number;
  readonly leaseMs: number;
  readonly sessionWaitMs: number;
  readonly maxDeferralMs: number;
  readonly now: () => number;
  readonly logger: Logger;
}

interface Waiter {
  readonly signal: AbortSignal;
  resolve(lease: Lease): void;
  reject(error: unknown): void;
}

/** Gives ready sessions to queries that wait: one query a session, each after its pause and the site's. */
export class LeaseDesk {
  readonly #options: LeaseDeskOptions;
  readonly #closing = new AbortController();
  readonly #waiters: Waiter[] = [];
  /** Sessions that wait for their turn at the site, to be given to the first who waits then. */
  readonly #reserved = new Set<bigint>();
  /** When a session may search again. */
  readonly #nextAt = new Map<bigint, number>();
  /** Since when there is no session that could take a query. */
  #hopelessSince: number | undefined;
  #hopelessTimer: NodeJS.Timeout | undefined;

  constructor(options: LeaseDeskOptions) {
    this.#options = options;
  }

  lease(signal: AbortSignal): Promise<Lease> {
    const { promise, resolve, reject } = Promise.withResolvers<Lease>();
    const waiter: Waiter = { signal, resolve, reject };
    const leave = (): void => {
      const at = this.#waiters.indexOf(waiter);
      if (at >= 0) this.#waiters.splice(at, 1);
      reject(abortError(signal));
    };
    if (signal.aborted) leave();
    else {
      signal.addEventListener('abort', leave, { once: true });
      this.#waiters.push(waiter);
      this.look();
    }
    return promise.finally(() => signal.removeEventListener('abort', leave));
  }

  /** To be called when anything about the sessions or the site has changed. */
  look(): void {
    clearTimeout(this.#hopelessTimer);
    const isIdle = this.#closing.signal.aborted || this.#waiters.length === 0;
    const refusal = isIdle ? undefined : this.#refusal();
    if (isIdle || refusal) this.#hopelessSince = undefined;
    if (refusal) this.#rejectAll(refusal);
    while (this.#reserved.size < this.#waiters.length) {
      const session = this.#nextSession();
      if (!session) break;
      this.#reserved.add(session.sessionId);
      void this.#serve(session);
    }
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#hopelessTimer);
    this.#rejectAll(new UnavailableError('the crawler is ending'));
  }

  /** Of the sessions that are free, the one that may search first. */
  #nextSession(): LiveSession | undefined {
    const free = [...this.#options.sessions()].filter(
      ({ record, browser }) =>
        record.state === 'READY' &&
        browser !== undefined &&
        !this.#reserved.has(record.sessionId) &&
        this.#queriesToday(record) < this.#options.dailyCap,
    );
    return free.sort((a, b) => this.#nextAtOf(a) - this.#nextAtOf(b))[0];
  }

  async #serve(session: LiveSession): Promise<void> {
    const { signal } = this.#closing;
    try {
      await this.#pause(session, signal);
      await this.#options.bucket.take(signal);
      const { state } = session.record;
      const { browser } = session;
      const waiter = state === 'READY' && browser ? this.#waiters.shift() : undefined;
      if (waiter && browser) this.#grant(session, browser, waiter);
    } catch (error) {
      if (!signal.aborted) this.#options.logger.error({ err: error }, 'a lease was not granted');
    } finally {
      this.#reserved.delete(session.sessionId);
      this.look();
    }
  }

  async #pause(session: LiveSession, signal: AbortSignal): Promise<void> {
    const waitMs = this.#nextAtOf(session) - this.#options.now();
    if (waitMs > 0) await sleep(waitMs, undefined, { signal });
  }

  #grant(session: LiveSession, browser: SiteBrowser, waiter: Waiter): void {
    const { record } = session;
    const { now, leaseMs } = this.#options;
    const fencingToken = record.fencingToken + 1;
    try {
      session.become('LEASED', '', {
        fencingToken,
        day: dayOf(now()),
        queriesToday: this.#queriesToday(record) + 1,
      });
    } catch (error) {
      waiter.reject(error);
      return;
    }
    const lost = new AbortController();
    const isCurrent = (): boolean =>
      session.record.state === 'LEASED' && session.record.fencingToken === fencingToken;
    const timer = setTimeout(() => {
      if (isCurrent()) this.#takeAway(session, lost);
    }, leaseMs).unref();
    let released = false;
    waiter.resolve({
      sessionId: session.sessionId,
      browser,
      fencingToken,
      signal: AbortSignal.any([waiter.signal, lost.signal, this.#closing.signal]),
      requireCurrent: () => {
        if (!isCurrent())
          throw new LeaseLostError(`lease ${fencingToken} has ended`, {
            place: `session ${session.sessionId}`,
          });
      },
      release: (end) => {
        clearTimeout(timer);
        if (released || !isCurrent()) return;
        released = true;
        void this.#release(session, end, isCurrent);
      },
    });
  }

  async #release(session: LiveSession, end: LeaseEnd, isCurrent: () => boolean): Promise<void> {
    const { now, queryIntervalMs, queryJitterMs, logger } = this.#options;
    this.#nextAt.set(session.sessionId, now() + queryIntervalMs + Math.random() * queryJitterMs);
    try {
      if (end.kind === 'ready') {
        await session.saveCookies();
        // Retired meanwhile, or the service ends.
        if (!isCurrent()) return;
        if (session.browser) session.become('READY');
        else session.probe('its browser ended');
      } else if (end.kind === 'cooling') session.become('COOLING', end.reason, { resumeAt: end.resumeAt });
      else if (end.kind === 'challenge') session.park(end.screenshotPng);
      else if (end.kind === 'logged-out') await session.expire('the site has logged it out');
      else session.probe(end.reason);
    } catch (error) {
      logger.error({ sessionId: String(session.sessionId), err: error }, 'a lease was not given back');
    }
  }

  /** Whoever holds it is stuck: its browser ends, which ends what it waits for. */
  #takeAway(session: LiveSession, lost: AbortController): void {
    const { logger, leaseMs } = this.#options;
    logger.warn({ sessionId: String(session.sessionId) }, 'a lease ran out');
    const { fencingToken } = session.record;
    session.become('PROBING', `its lease ran out after ${leaseMs} ms`, { fencingToken: fencingToken + 1 });
    lost.abort(new LeaseLostError(`the lease ran out after ${leaseMs} ms`));
    void session
      .dropBrowser()
      .then(() => session.probe('its lease ran out'))
      // Retired meanwhile.
      .catch((error: unknown) => logger.warn({ err: error }, 'not probed'));
  }

  /** Why nobody should go on waiting: no session can be expected to take a query soon. */
  #refusal(): Error | undefined {
    const { bucket, now, maxDeferralMs, dailyCap } = this.#options;
    if (bucket.resumeAt - now() > maxDeferralMs) return new NotNowError('rate-limited', bucket.resumeAt);
    const records = [...this.#options.sessions()].map(({ record }) => record);
    const usable = records.filter(({ state, resumeAt }) =>
      state === 'COOLING' ? (resumeAt ?? 0) - now() <= maxDeferralMs : isUsable(state),
    );
    if (usable.some((record) => this.#queriesToday(record) < dailyCap)) {
      this.#hopelessSince = undefined;
      return undefined;
    }
    if (usable.length > 0) return new NotNowError('daily-cap', nextDay(now()));
    const resumeTimes = records.flatMap(({ resumeAt }) => resumeAt ?? []);
    if (resumeTimes.length > 0) return new NotNowError('rate-limited', Math.min(...resumeTimes));
    return this.#hopeless();
  }

  /** Somebody may be logging in: there is some time for that. */
  #hopeless(): Error | undefined {
    const { now, sessionWaitMs } = this.#options;
    this.#hopelessSince ??= now();
    const leftMs = this.#hopelessSince + sessionWaitMs - now();
    if (leftMs <= 0) return new NoSessionError('no session is logged in');
    this.#hopelessTimer = setTimeout(() => this.look(), leftMs).unref();
    return undefined;
  }

  #rejectAll(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  #queriesToday({ day, queriesToday }: SessionRecord): number {
    return day === dayOf(this.#options.now()) ? queriesToday : 0;
  }

  #nextAtOf({ sessionId }: LiveSession): number {
    return this.#nextAt.get(sessionId) ?? 0;
  }
}

const isUsable = (state: SessionRecord['state']): boolean =>
  state === 'READY' || state === 'LEASED' || state === 'PROBING';

function nextDay(now: number): number {
  const day = new Date(now);
  return Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate() + 1);
}
