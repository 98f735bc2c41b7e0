import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationError, type Logger, messageOf } from '@online-cnclip/foundation';
import { BrowserDiedError, ChallengeError, LogInExpiredError } from '../browser/errors.ts';
import type { QrCode, SiteBrowser, SiteCookie } from '../browser/site-browser.ts';
import type { SessionBook } from './session-book.ts';
import type { SessionJournal } from './session-journal.ts';
import type { SessionRecord } from './session-record.ts';
import type { SessionState } from './states.ts';

/** Times that a probe is tried before the session is suspect: a browser that dies, a page that does not load. */
const PROBE_ATTEMPTS = 3;

/** Before the second of them, doubled for the third. */
const PROBE_RETRY_MS = 1_000;

/** A home page that takes longer is no answer. */
const PROBE_TIMEOUT_MS = 60_000;

/** Cookies change while a session is used; what is kept of them is at most this old. */
const COOKIES_AGE_MS = 60_000;

export interface LiveSessionParts {
  readonly book: SessionBook;
  readonly journal: SessionJournal;
  /** On an empty user data folder: what a session needs to know is in its cookies. */
  openBrowser(sessionId: bigint, signal: AbortSignal): Promise<SiteBrowser>;
  /** Waits for the site's turn. */
  pace(signal: AbortSignal): Promise<void>;
  readonly logger: Logger;
  readonly now: () => number;
}

/** A session with its browser: logs in, probes, and keeps what a watcher sees and the disk must not. */
export class LiveSession {
  readonly sessionId: bigint;
  readonly #parts: LiveSessionParts;
  readonly #ended = new AbortController();
  #browser: SiteBrowser | undefined;
  #qrCode: QrCode | undefined;
  #challengePng: Uint8Array | undefined;
  #cookiesSavedAt = 0;
  /** The log-in or probe going on. */
  #activity: Promise<void> = Promise.resolve();

  constructor(sessionId: bigint, parts: LiveSessionParts) {
    this.sessionId = sessionId;
    this.#parts = parts;
  }

  get record(): SessionRecord {
    return this.#parts.book.get(this.sessionId);
  }

  get browser(): SiteBrowser | undefined {
    return this.#browser;
  }

  /** Only while somebody is to scan it. */
  get qrCode(): QrCode | undefined {
    return this.record.state === 'LOGIN_WAIT' ? this.#qrCode : undefined;
  }

  get challengePng(): Uint8Array | undefined {
    return this.record.state === 'PARKED' ? this.#challengePng : undefined;
  }

  /** @throws what opening a browser throws; the session is retired then. */
  async start(): Promise<void> {
    try {
      await this.#requireBrowser();
    } catch (error) {
      await this.retire(messageOf(error));
      throw error;
    }
    this.logIn('RETIRED');
  }

  /** @param onFailure what becomes of the session when nobody logs it in. */
  logIn(onFailure: 'RETIRED' | 'EXPIRED'): void {
    this.#begin(async (signal) => {
      // Asked for again while it went on: it is done.
      if (this.record.state !== 'NEW' && this.record.state !== 'EXPIRED') return;
      try {
        await this.#logIn(signal);
        // Before anything else: the scan is not asked for again, whatever ends the process from now on.
        await this.saveCookies(0);
      } catch (error) {
        await this.#endLogIn(error, onFailure);
        return;
      }
      this.#qrCode = undefined;
      this.become('PROBING');
      await this.#probe(signal);
    });
  }

  /** From any state but RETIRED that may become PROBING. */
  probe(reason = ''): void {
    this.become('PROBING', reason);
    this.#begin((signal) => this.#probe(signal));
  }

  park(screenshotPng: Uint8Array): void {
    this.#challengePng = screenshotPng;
    this.become('PARKED', 'the site asks for a person');
  }

  become(state: SessionState, reason = '', changes: Partial<SessionRecord> = {}): void {
    this.#parts.book.transition(this.record, state, { ...changes, reason });
  }

  async retire(reason: string): Promise<void> {
    if (this.record.state !== 'RETIRED') this.become('RETIRED', reason);
    this.#parts.journal.forgetCookies(this.sessionId);
    this.#ended.abort();
    await this.dropBrowser();
  }

  /** The end of the process: the session is left as it is, to be found by the next. */
  async close(): Promise<void> {
    const { state } = this.record;
    if (this.#browser && (state === 'READY' || state === 'LEASED')) await this.saveCookies(0);
    this.#ended.abort();
    await this.dropBrowser();
    await this.#activity;
  }

  async dropBrowser(): Promise<void> {
    const browser = this.#browser;
    this.#browser = undefined;
    await browser?.close();
  }

  /** Never rejects: what was saved before still holds. */
  async saveCookies(maxAgeMs = COOKIES_AGE_MS): Promise<void> {
    const { journal, now, logger } = this.#parts;
    if (!this.#browser || now() - this.#cookiesSavedAt < maxAgeMs) return;
    try {
      const cookies = await this.#browser.exportCookies();
      if (this.record.state === 'RETIRED') return;
      journal.saveCookies(this.sessionId, cookies);
      this.#cookiesSavedAt = now();
    } catch (error) {
      logger.warn({ sessionId: String(this.sessionId), err: error }, 'cookies not saved');
    }
  }

  #begin(act: (signal: AbortSignal) => Promise<void>): void {
    const { signal } = this.#ended;
    this.#activity = this.#activity
      .then(() => (signal.aborted ? undefined : act(signal)))
      .catch((error) => {
        if (signal.aborted) return;
        this.#parts.logger.error({ sessionId: String(this.sessionId), err: error }, 'session failed');
      });
  }

  async #logIn(signal: AbortSignal): Promise<void> {
    const browser = await this.#requireBrowser();
    await this.#parts.pace(signal);
    await browser.logIn({
      signal,
      onQrCode: (code) => {
        this.#qrCode = code;
        this.become('LOGIN_WAIT', `code ${code.attempt} waits to be scanned`);
      },
      onScanned: () => {
        if (this.record.state === 'LOGIN_WAIT') this.become('LOGIN_SCANNED', 'waits to be confirmed');
      },
    });
  }

  async #endLogIn(error: unknown, onFailure: 'RETIRED' | 'EXPIRED'): Promise<void> {
    this.#qrCode = undefined;
    if (this.#ended.signal.aborted || this.record.state === 'RETIRED') return;
    this.#parts.logger.warn({ sessionId: String(this.sessionId), err: error }, 'log-in failed');
    if (error instanceof ChallengeError) this.park(error.screenshotPng);
    else if (onFailure === 'RETIRED') await this.retire(logInFailure(error));
    else await this.expire(logInFailure(error));
  }

  async #probe(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#probeOnce(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof BrowserDiedError) await this.dropBrowser();
        this.#parts.logger.warn({ sessionId: String(this.sessionId), err: error }, 'probe failed');
        if (attempt === PROBE_ATTEMPTS) {
          this.become('SUSPECT', messageOf(error));
          return;
        }
      }
      await sleep(PROBE_RETRY_MS * 2 ** (attempt - 1), undefined, { signal });
    }
  }

  async #probeOnce(ended: AbortSignal): Promise<void> {
    const browser = await this.#requireBrowser();
    await this.#parts.pace(ended);
    const signal = AbortSignal.any([ended, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    const outcome = await browser.probe(signal);
    if (outcome === 'challenge') this.park(await browser.screenshot());
    else if (outcome === 'logged-out') await this.expire('the site has logged it out');
    else if (outcome === 'unexpected') this.become('SUSPECT', 'the page is none that the profile knows');
    else {
      await this.saveCookies(0);
      if (this.record.state === 'PROBING') this.become('READY');
    }
  }

  /** The site does not know it any more. */
  async expire(reason: string): Promise<void> {
    this.become('EXPIRED', reason);
    await this.dropBrowser();
  }

  async #requireBrowser(): Promise<SiteBrowser> {
    if (this.#browser) return this.#browser;
    const browser = await this.#parts.openBrowser(this.sessionId, this.#ended.signal);
    if (this.#ended.signal.aborted) {
      await browser.close();
      throw new BrowserDiedError('the session ended');
    }
    this.#browser = browser;
    void browser.closed.then((end) => this.#onBrowserEnd(browser, end.how));
    const cookies = this.#loadCookies();
    if (cookies) await browser.importCookies(cookies);
    return browser;
  }

  /** Those that cannot be unsealed are as good as none: the site will want a log-in. */
  #loadCookies(): readonly SiteCookie[] | undefined {
    try {
      return this.#parts.journal.loadCookies(this.sessionId);
    } catch (error) {
      this.#parts.logger.error({ sessionId: String(this.sessionId), err: error }, 'cookies not unsealed');
      return undefined;
    }
  }

  /** A lease's holder notices by itself, and so does a log-in or a probe. */
  #onBrowserEnd(browser: SiteBrowser, how: string): void {
    if (this.#browser !== browser) return;
    this.#browser = undefined;
    if (this.#ended.signal.aborted) return;
    this.#parts.logger.warn({ sessionId: String(this.sessionId), how }, 'a browser ended');
    if (this.record.state !== 'READY') return;
    try {
      this.probe(`its browser ended (${how})`);
    } catch (error) {
      this.#parts.logger.error({ sessionId: String(this.sessionId), err: error }, 'not probed');
    }
  }
}

function logInFailure(error: unknown): string {
  if (error instanceof LogInExpiredError) return error.message;
  return error instanceof ApplicationError
    ? `log-in failed: ${error.message}`
    : 'log-in failed: internal error';
}
