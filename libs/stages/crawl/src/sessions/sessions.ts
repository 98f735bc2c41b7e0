import { setTimeout as sleep } from 'node:timers/promises';
import {
  abortError,
  FailedPreconditionError,
  InvalidInputError,
  type Logger,
  ResourceExhaustedError,
} from '@online-cnclip/foundation';
import type { QrCode, SiteBrowser } from '../browser/site-browser.ts';
import type { TokenBucket } from '../manners/token-bucket.ts';
import type { Lease } from './lease.ts';
import { LeaseDesk } from './lease-desk.ts';
import { LiveSession } from './live-session.ts';
import { SessionBook } from './session-book.ts';
import type { SessionJournal } from './session-journal.ts';
import type { SessionRecord } from './session-record.ts';
import type { SessionState } from './states.ts';

/** As the contract says. */
export const MAX_LABEL_CHARACTERS = 64;

/** A suspect session is probed again after so long, doubled each time up to the second. */
const SUSPECT_PROBE_MS = 60_000;
const MAX_SUSPECT_PROBE_MS = 1_800_000;

/** What an operator sees of a session. */
export interface SessionView extends SessionRecord {
  readonly qrCode: QrCode | undefined;
  readonly challengePng: Uint8Array | undefined;
}

export interface SessionsOptions {
  readonly journal: SessionJournal;
  openBrowser(sessionId: bigint, signal: AbortSignal): Promise<SiteBrowser>;
  /** The site's. */
  readonly bucket: TokenBucket;
  readonly maxSessions: number;
  readonly dailyCap: number;
  /** Between two queries of one session. */
  readonly queryIntervalMs: number;
  readonly queryJitterMs: number;
  /** After which a lease is taken away from its holder. */
  readonly leaseMs: number;
  /** How long a query waits while there is no session that could take it. */
  readonly sessionWaitMs: number;
  /** Longer than this nobody waits for the site or a new day. */
  readonly maxDeferralMs: number;
  readonly logger: Logger;
  readonly now?: () => number;
}

/** Every session of the site, and who may use which. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #book: SessionBook;
  readonly #live = new Map<bigint, LiveSession>();
  readonly #desk: LeaseDesk;
  readonly #closing = new AbortController();
  readonly #suspicions = new Map<bigint, number>();
  #changed = Promise.withResolvers<void>();

  /** Sessions of before come back: probed, cooling, or waiting for a person, as they were. */
  constructor(options: SessionsOptions) {
    this.#options = options;
    const now = options.now ?? Date.now;
    this.#book = new SessionBook(options.journal, now, (record) => this.#onChange(record));
    const { bucket, dailyCap, queryIntervalMs, queryJitterMs, leaseMs, sessionWaitMs, maxDeferralMs } =
      options;
    this.#desk = new LeaseDesk({
      sessions: () => this.#live.values(),
      bucket,
      dailyCap,
      queryIntervalMs,
      queryJitterMs,
      leaseMs,
      sessionWaitMs,
      maxDeferralMs,
      now,
      logger: options.logger,
    });
    const before = this.#book.all().filter(({ state }) => state !== 'RETIRED');
    if (before.length > 0) options.bucket.waitFirst();
    for (const record of before) this.#restore(record);
  }

  /** In the order they were opened. */
  list(states: readonly SessionState[] = []): SessionView[] {
    const isWanted = ({ state }: SessionRecord) =>
      states.length ? states.includes(state) : state !== 'RETIRED';
    return this.#book
      .all()
      .filter(isWanted)
      .map((record) => this.#view(record));
  }

  /** @throws NotFoundError */
  get(sessionId: bigint): SessionView {
    return this.#view(this.#book.get(sessionId));
  }

  /** A new session whose browser has started and whose log-in goes on. */
  async open(label = ''): Promise<SessionView> {
    if ([...label].length > MAX_LABEL_CHARACTERS)
      throw new InvalidInputError(`has more than ${MAX_LABEL_CHARACTERS} characters`, { place: 'label' });
    const { maxSessions } = this.#options;
    if (this.list().length >= maxSessions)
      throw new ResourceExhaustedError(`there are ${maxSessions} sessions: retire one`);
    const session = this.#add(this.#book.create(label));
    await session.start();
    return this.get(session.sessionId);
  }

  /** The session as it is, then each change; ends when it is retired. Changes that nobody read in time are skipped. */
  async *watch(sessionId: bigint, signal: AbortSignal): AsyncGenerator<SessionView> {
    let seen = 0;
    for (;;) {
      const change = this.#changed.promise;
      const view = this.get(sessionId);
      if (view.version !== seen) {
        seen = view.version;
        yield view;
        if (view.state === 'RETIRED') return;
        continue;
      }
      await within(change, signal);
    }
  }

  /** A person has dealt with it: a parked or suspect session is probed, an expired one logs in again. */
  async resolve(sessionId: bigint): Promise<SessionView> {
    const { state } = this.get(sessionId);
    const session = this.#live.get(sessionId);
    if (!session || !['PARKED', 'SUSPECT', 'EXPIRED'].includes(state))
      throw new FailedPreconditionError(`is ${state}, not PARKED, SUSPECT or EXPIRED`, {
        place: `session ${sessionId}`,
      });
    if (state === 'EXPIRED') session.logIn('EXPIRED');
    else session.probe('a person has looked');
    return this.get(sessionId);
  }

  async retire(sessionId: bigint): Promise<SessionView> {
    this.get(sessionId);
    await this.#live.get(sessionId)?.retire('retired by an operator');
    this.#live.delete(sessionId);
    return this.get(sessionId);
  }

  /**
   * A session that is ready, after the site's and its own pause. First come, first served.
   *
   * @throws NotNowError, NoSessionError, the signal's reason.
   */
  lease(signal: AbortSignal): Promise<Lease> {
    return this.#desk.lease(AbortSignal.any([signal, this.#closing.signal]));
  }

  /** Browsers end, sessions stay as they are. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#desk.close();
    await Promise.all([...this.#live.values()].map((session) => session.close()));
    await this.#options.journal.close();
  }

  #restore(record: SessionRecord): void {
    const session = this.#add(record);
    const { state } = record;
    if (state === 'NEW' || state === 'LOGIN_WAIT' || state === 'LOGIN_SCANNED') {
      session.become('RETIRED', 'the service ended during its log-in');
      this.#live.delete(record.sessionId);
    } else if (state === 'READY' || state === 'LEASED' || state === 'PROBING') {
      session.probe('the service was started again');
    } else {
      // A parked or expired one waits for a person, as before; a cooling or suspect one for its time.
      if (state === 'COOLING') this.#options.bucket.pauseUntil(record.resumeAt ?? 0);
      this.#onChange(record);
    }
  }

  #add(record: SessionRecord): LiveSession {
    const { journal, openBrowser, bucket, logger, now = Date.now } = this.#options;
    const session = new LiveSession(record.sessionId, {
      book: this.#book,
      journal,
      openBrowser,
      pace: (signal) => bucket.take(signal),
      logger,
      now,
    });
    this.#live.set(record.sessionId, session);
    return session;
  }

  #onChange(record: SessionRecord): void {
    const { sessionId, label, state, reason } = record;
    // Taken and given back with each query.
    const level = state === 'LEASED' || (state === 'READY' && record.fencingToken > 0) ? 'debug' : 'info';
    this.#options.logger[level]({ sessionId: String(sessionId), label, state, reason }, 'session');
    if (state === 'READY') this.#suspicions.delete(sessionId);
    if (state === 'COOLING') this.#later(record, (record.resumeAt ?? 0) - (this.#options.now ?? Date.now)());
    if (state === 'SUSPECT') this.#later(record, this.#suspectDelay(sessionId));
    this.#desk?.look();
    this.#announce();
  }

  /** Once the time has passed, unless something else became of the session. */
  #later(record: SessionRecord, delayMs: number): void {
    void sleep(Math.max(0, delayMs), undefined, { signal: this.#closing.signal, ref: false })
      .then(() => {
        const session = this.#live.get(record.sessionId);
        if (session?.record.version !== record.version) return;
        if (record.state === 'COOLING' && session.browser) session.become('READY');
        else session.probe();
      })
      .catch(() => {});
  }

  #suspectDelay(sessionId: bigint): number {
    const times = this.#suspicions.get(sessionId) ?? 0;
    this.#suspicions.set(sessionId, times + 1);
    return Math.min(MAX_SUSPECT_PROBE_MS, SUSPECT_PROBE_MS * 2 ** times);
  }

  #view(record: SessionRecord): SessionView {
    const session = this.#live.get(record.sessionId);
    return { ...record, qrCode: session?.qrCode, challengePng: session?.challengePng };
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

async function within(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(abortError(signal));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
