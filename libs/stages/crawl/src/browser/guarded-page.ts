import { setTimeout as sleep } from 'node:timers/promises';
import { type ApplicationError, abortError, messageOf, throwIfAborted } from '@online-cnclip/foundation';
import { type HTTPRequest, type HTTPResponse, type Page, TimeoutError } from 'puppeteer-core';
import {
  BrowserDiedError,
  NavigationFailedError,
  NavigationTimeoutError,
  PageCrashedError,
} from './errors.ts';
import type { BrowserEnd } from './site-browser.ts';

export interface OperationLimits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** An error of the network's, as Chromium names it. */
const NETWORK_ERROR = /net::ERR_[A-Z_]+/;
const ERROR_PAGE = 'chrome-error:';
/** What a page's scripts end with when the page goes elsewhere beneath them. */
const LEFT = /Execution context|context was destroyed|Cannot find context|detached Frame|frame got detached/i;
/** Between Puppeteer's noticing that a connection is gone and the news of what ended. */
const NEWS_MS = 1_000;

/** A page whose operations end: with their result, or with the typed error of what went wrong. */
export class GuardedPage {
  readonly page: Page;
  readonly #browserClosed: Promise<BrowserEnd>;
  readonly #crashed: Promise<'crashed'>;
  #usable = true;
  #document: HTTPResponse | undefined;
  #failure: NavigationFailedError | undefined;

  constructor(page: Page, browserClosed: Promise<BrowserEnd>) {
    this.page = page;
    this.#browserClosed = browserClosed;
    this.#crashed = new Promise((resolve) => page.once('error', () => resolve('crashed')));
    // Unanswered, a dialog stops the page for good.
    page.on('dialog', (dialog) => void dialog.dismiss().catch(() => undefined));
    const isDocument = (request: HTTPRequest): boolean =>
      request.isNavigationRequest() && request.frame() === page.mainFrame();
    page.on('response', (response) => {
      if (isDocument(response.request())) this.#document = response;
    });
    page.on('requestfailed', (request) => {
      const reason = request.failure()?.errorText ?? 'failed';
      if (isDocument(request)) this.#failure = new NavigationFailedError(request.url(), reason);
    });
  }

  /** The last answer for the page's own document. */
  get document(): HTTPResponse | undefined {
    return this.#document;
  }

  /** Why the browser shows a page of its own instead of the site's; undefined where it shows the site's. */
  get failure(): NavigationFailedError | undefined {
    const url = this.page.url();
    return url.startsWith(ERROR_PAGE)
      ? (this.#failure ?? new NavigationFailedError(url, 'failed'))
      : undefined;
  }

  /** False after a crash or an operation cut short, when nobody knows what the page is doing. */
  get usable(): boolean {
    return this.#usable && !this.page.isClosed();
  }

  /**
   * Runs one operation. Puppeteer's own promises may stay pending for minutes when a page hangs, crashes or loses
   * its browser; this one never outlives its limit or the signal.
   *
   * @throws NavigationTimeoutError, NavigationFailedError, PageCrashedError, BrowserDiedError, CancelledError.
   */
  async run<T>(limits: OperationLimits, operation: (page: Page) => Promise<T>): Promise<T> {
    const { timeoutMs, signal } = limits;
    throwIfAborted(signal);
    const stop = Promise.withResolvers<'aborted' | 'late'>();
    const abort = (): void => stop.resolve('aborted');
    signal.addEventListener('abort', abort, { once: true });
    const timer = setTimeout(() => stop.resolve('late'), timeoutMs);
    const outcome = operation(this.page).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    const end = this.#browserClosed.then((browserEnd) => ({ browserEnd }));
    try {
      const first = await Promise.race([outcome, end, this.#crashed, stop.promise]);
      if (typeof first === 'object' && 'value' in first) return first.value;
      this.#usable = false;
      throw await this.#explain(first, limits);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  /** Runs a script in the page; undefined where the page went elsewhere meanwhile. Throws as {@link run} does. */
  inspect<T, A extends unknown[]>(
    limits: OperationLimits,
    script: (...given: A) => T,
    ...given: A
  ): Promise<T | undefined> {
    return this.run(limits, async (page) => {
      try {
        return (await page.evaluate(script as (...args: unknown[]) => unknown, ...given)) as T;
      } catch (error) {
        if (LEFT.test(messageOf(error))) return undefined;
        throw error;
      }
    });
  }

  async #explain(
    reason: { error: unknown } | { browserEnd: BrowserEnd } | 'crashed' | 'aborted' | 'late',
    { timeoutMs, signal }: OperationLimits,
  ): Promise<ApplicationError> {
    const url = this.page.url();
    if (reason === 'aborted') return abortError(signal);
    if (reason === 'late') return new NavigationTimeoutError(url, timeoutMs);
    if (reason === 'crashed') return new PageCrashedError(url);
    if ('browserEnd' in reason) return new BrowserDiedError(reason.browserEnd.how);
    const { error } = reason;
    if (error instanceof TimeoutError) return new NavigationTimeoutError(url, timeoutMs, error);
    const network = NETWORK_ERROR.exec(messageOf(error))?.[0];
    if (network !== undefined) return new NavigationFailedError(url, network, error);
    const news = await Promise.race([this.#browserClosed, this.#crashed, sleep(NEWS_MS, undefined)]);
    if (news === 'crashed') return new PageCrashedError(url, error);
    if (news !== undefined) return new BrowserDiedError(news.how, error);
    return new NavigationFailedError(url, messageOf(error), error);
  }
}
