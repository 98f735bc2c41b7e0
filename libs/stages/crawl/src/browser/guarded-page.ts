import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationError, abortError, messageOf, throwIfAborted } from '@online-cnclip/foundation';
import {
  type CDPSession,
  type HTTPRequest,
  type HTTPResponse,
  type Page,
  TimeoutError,
} from 'puppeteer-core';
import { bounded } from './bounded.ts';
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
/** The name shows in nothing that a page can read. */
const WORLD = 'reader';
const ERROR_PAGE = 'chrome-error:';
/** What a page's scripts end with when the page goes elsewhere beneath them. */
const LEFT =
  /context was destroyed|Cannot find (execution )?context|No frame (for|with) given id|[Nn]ode is (detached|either not)|No element found/;
/** Between Puppeteer's noticing that a connection is gone and the news of what ended, helpers and all. */
const NEWS_MS = 3_000;
/** Between an element's loss and the news that its page was left. */
const NEWS_OF_LEAVING_MS = 100;

/** A page whose operations end: with their result, or with the typed error of what went wrong. */
export class GuardedPage {
  readonly page: Page;
  readonly #client: CDPSession;
  /** Aborted with the error of a crash, or of the browser's end. */
  readonly #end = new AbortController();
  #usable = true;
  #document: HTTPResponse | undefined;
  /** Context of the scripts in the document shown. */
  #world: number | undefined;
  /** How many documents the page has shown. */
  #documents = 0;
  #failure: NavigationFailedError | undefined;

  /** @param client a session of the page's own. */
  constructor(page: Page, client: CDPSession, browserClosed: Promise<BrowserEnd>) {
    this.page = page;
    this.#client = client;
    page.once('error', (cause) => this.#end.abort(new PageCrashedError(page.url(), cause)));
    void browserClosed.then(({ how }) => this.#end.abort(new BrowserDiedError(how)));
    // Unanswered, a dialog stops the page for good.
    page.on('dialog', (dialog) => void dialog.dismiss().catch(() => undefined));
    page.on('framenavigated', (frame) => {
      if (frame !== page.mainFrame()) return;
      this.#documents++;
      this.#world = undefined;
    });
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
    try {
      return await bounded(operation(this.page), {
        timeoutMs,
        late: () => new NavigationTimeoutError(this.page.url(), timeoutMs),
        signals: [this.#end.signal, signal],
      });
    } catch (error) {
      this.#usable = false;
      throw error instanceof ApplicationError ? error : await this.#explain(error, timeoutMs);
    }
  }

  /** As {@link run}, but undefined where the page went elsewhere meanwhile. */
  runUnlessLeft<T>(limits: OperationLimits, operation: (page: Page) => Promise<T>): Promise<T | undefined> {
    const before = this.#documents;
    return this.run(limits, async (page) => {
      try {
        return await operation(page);
      } catch (error) {
        if (LEFT.test(messageOf(error))) return undefined;
        await sleep(NEWS_OF_LEAVING_MS);
        if (this.#documents !== before) return undefined;
        throw error;
      }
    });
  }

  /**
   * Runs a script on the page's document; undefined where the page went elsewhere meanwhile. It runs in a world of its own, as an
   * extension's does: the page can neither see it nor change what it calls. (Puppeteer's `evaluate` runs in the page's world under
   * a name that begins with `pptr:` and holds the path of the caller's file.) Throws as {@link run} does.
   */
  inspect<T, A extends unknown[]>(
    limits: OperationLimits,
    script: (...given: A) => T,
    ...given: A
  ): Promise<T | undefined> {
    return this.runUnlessLeft(limits, () => this.#callFunction(script, given));
  }

  async #callFunction<T, A extends unknown[]>(script: (...given: A) => T, given: A): Promise<T> {
    this.#world ??= await this.#openWorld();
    const { result, exceptionDetails } = await this.#client
      .send('Runtime.callFunctionOn', {
        functionDeclaration: script.toString(),
        arguments: given.map((value) => ({ value })),
        executionContextId: this.#world,
        returnByValue: true,
      })
      .catch((error: unknown) => {
        // That of a document that is gone: the next look opens another one.
        this.#world = undefined;
        throw error;
      });
    if (exceptionDetails !== undefined)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value as T;
  }

  async #openWorld(): Promise<number> {
    const { frameTree } = await this.#client.send('Page.getFrameTree');
    const world = { frameId: frameTree.frame.id, worldName: WORLD };
    return (await this.#client.send('Page.createIsolatedWorld', world)).executionContextId;
  }

  /** What Puppeteer's error means. */
  async #explain(error: unknown, timeoutMs: number): Promise<ApplicationError> {
    const url = this.page.url();
    if (error instanceof TimeoutError) return new NavigationTimeoutError(url, timeoutMs, error);
    const network = NETWORK_ERROR.exec(messageOf(error))?.[0];
    if (network !== undefined) return new NavigationFailedError(url, network, error);
    const { signal } = this.#end;
    await sleep(NEWS_MS, undefined, { signal }).catch(() => undefined);
    return signal.aborted ? abortError(signal) : new NavigationFailedError(url, messageOf(error), error);
  }
}
