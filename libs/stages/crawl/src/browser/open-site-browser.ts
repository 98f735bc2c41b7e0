import { setTimeout as sleep } from 'node:timers/promises';
import {
  ApplicationError,
  abortError,
  DeadlineExceededError,
  InvalidInputError,
  messageOf,
  throwIfAborted,
  UnavailableError,
} from '@online-cnclip/foundation';
import type { CDPSession, Page } from 'puppeteer-core';
import type { SiteProfile } from '../site/site-profile.ts';
import { bounded } from './bounded.ts';
import { fromProtocol, toProtocol } from './cookies.ts';
import { BrowserDiedError } from './errors.ts';
import { createLauncher, type Launcher } from './evasions.ts';
import type { FoundBrowser } from './find-browser.ts';
import { GuardedPage } from './guarded-page.ts';
import { type Identity, identityOf } from './identity.ts';
import { launchBrowser, type RunningBrowser } from './launch.ts';
import { logInByQrCode } from './log-in.ts';
import { refuseSelectors } from './page-scripts.ts';
import { searchSite } from './search.ts';
import type {
  BrowserEnd,
  LogInOptions,
  ProbeOutcome,
  SearchOptions,
  SearchOutcome,
  SiteBrowser,
  SiteCookie,
} from './site-browser.ts';
import {
  currentPlace,
  documentState,
  goTo,
  isShown,
  LOOK_TIMEOUT_MS,
  type SitePage,
  takeScreenshot,
} from './site-page.ts';

export interface SiteBrowserOptions {
  readonly profile: SiteProfile;
  /** From {@link findBrowser}. */
  readonly found: FoundBrowser;
  /** Of this session alone; made when it is not there, readable by this user only. */
  readonly userDataDir: string;
  /** Hide that the browser is driven by a program. */
  readonly stealth?: boolean;
  /** False for a window, where a person can answer a challenge. */
  readonly headless?: boolean;
  /** None: on, where Chromium can have its sandbox. */
  readonly sandbox?: boolean | undefined;
  readonly signal: AbortSignal;
}

/**
 * Starts a browser for one session.
 *
 * @throws BrowserStartError; FailedPreconditionError when a browser uses the userDataDir already; InvalidInputError
 *   naming a selector of the profile that the browser refuses; CancelledError.
 */
export async function openSiteBrowser(options: SiteBrowserOptions): Promise<SiteBrowser> {
  const { profile, found, stealth = true, signal } = options;
  const identity = identityOf(found);
  const launcher = createLauncher(stealth, identity.languages);
  const running = await launchBrowser(launcher, {
    found,
    identity,
    userDataDir: options.userDataDir,
    headless: options.headless ?? true,
    sandbox: options.sandbox,
    onlyHost: loopbackHost(profile),
    signal,
  });
  try {
    const opened = new OpenSiteBrowser({ profile, running, launcher, identity, stealth });
    await opened.checkSelectors(signal);
    return opened;
  } catch (error) {
    await running.close();
    throw error;
  }
}

/** A browser that drives a site on this machine is kept from reaching any other. */
function loopbackHost({ origin }: SiteProfile): string | undefined {
  const { hostname } = new URL(origin);
  return ['127.0.0.1', 'localhost', '[::1]'].includes(hostname) ? hostname : undefined;
}

/** Of an operation on the browser itself. */
const CALL_TIMEOUT_MS = 15_000;
/** Between a lost connection and the news of the process' end, helpers and all. */
const NEWS_MS = 3_000;

interface Parts {
  readonly profile: SiteProfile;
  readonly running: RunningBrowser;
  readonly launcher: Launcher;
  readonly identity: Identity;
  readonly stealth: boolean;
}

class OpenSiteBrowser implements SiteBrowser {
  readonly version: string;
  readonly userAgent: string;
  readonly processId: number;
  readonly closed: Promise<BrowserEnd>;
  readonly #parts: Parts;
  readonly #died = new AbortController();
  #page: GuardedPage | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.version = `Chrome/${parts.identity.metadata.fullVersion}`;
    this.userAgent = parts.identity.userAgent;
    this.processId = parts.running.processId;
    this.closed = parts.running.closed;
    void this.closed.then(({ how }) => this.#died.abort(new BrowserDiedError(how)));
  }

  async logIn(options: LogInOptions): Promise<void> {
    await logInByQrCode(await this.#sitePage(options.signal), options);
  }

  async probe(signal: AbortSignal): Promise<ProbeOutcome> {
    const site = await this.#sitePage(signal);
    const { addresses, selectors } = site.profile;
    await goTo(site, addresses.home, signal);
    const place = await currentPlace(site, signal);
    if (place === 'challenge') return 'challenge';
    if (place === 'log-in') return 'logged-out';
    if (documentState(site).kind !== 'fine' || !(await isShown(site, selectors.searchBox, signal)))
      return 'unexpected';
    if (selectors.loggedIn === undefined) return 'ready';
    return (await isShown(site, selectors.loggedIn, signal)) ? 'ready' : 'logged-out';
  }

  async search(query: string, options: SearchOptions): Promise<SearchOutcome> {
    return searchSite(await this.#sitePage(options.signal), query, options);
  }

  async screenshot(): Promise<Uint8Array> {
    const signal = AbortSignal.timeout(LOOK_TIMEOUT_MS);
    return takeScreenshot(await this.#sitePage(signal), signal);
  }

  async exportCookies(): Promise<readonly SiteCookie[]> {
    const cookies = await this.#browserCall(() => this.#parts.running.browser.cookies());
    return cookies.map(fromProtocol);
  }

  async importCookies(cookies: readonly SiteCookie[]): Promise<void> {
    const { browser } = this.#parts.running;
    await this.#browserCall(() => browser.setCookie(...cookies.map(toProtocol)));
  }

  close(): Promise<void> {
    return this.#parts.running.close();
  }

  /** The last check of the profile: the browser's own idea of a selector. @throws InvalidInputError */
  async checkSelectors(signal: AbortSignal): Promise<void> {
    const { profile } = this.#parts;
    const { guarded } = await this.#sitePage(signal);
    const { imageAttribute: _, ...selectors } = profile.selectors;
    const given = Object.entries(selectors).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    const refused = await guarded.inspect(
      { timeoutMs: LOOK_TIMEOUT_MS, signal },
      refuseSelectors,
      given.map(([, selector]) => selector),
    );
    const wrong = given.find(([, selector]) => refused?.includes(selector));
    if (wrong !== undefined)
      throw new InvalidInputError(`the browser takes ${JSON.stringify(wrong[1])} for no CSS selector`, {
        place: `site profile ${profile.name}: selectors.${wrong[0]}`,
      });
  }

  /** The session's one page; a new one where the last is of no use any more. */
  async #sitePage(signal: AbortSignal): Promise<SitePage> {
    const { profile, running } = this.#parts;
    if (!this.#page?.usable) {
      const { page, client } = await this.#browserCall(() => this.#openPage(), signal);
      this.#page = new GuardedPage(page, client, running.closed);
    }
    return { profile, guarded: this.#page };
  }

  async #openPage(): Promise<{ page: Page; client: CDPSession }> {
    const { running, launcher, identity, stealth } = this.#parts;
    const { browser } = running;
    const before = await browser.pages();
    const page = await launcher.newPage(browser);
    // Never the page that a browser starts with: it was there before the evasions were. And only now, with another one
    // open: with its last page Chromium forgets the cookies that are for one session.
    for (const old of before) old.close().catch(() => undefined);
    const client = await page.createCDPSession();
    await client.send('Browser.setDownloadBehavior', { behavior: 'deny' });
    if (stealth) await disguise(client, identity);
    return { page, client };
  }

  async #browserCall<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal);
    const { signal: died } = this.#died;
    try {
      return await bounded(call(), {
        timeoutMs: CALL_TIMEOUT_MS,
        late: () => new DeadlineExceededError(`no answer in ${CALL_TIMEOUT_MS} ms`, { place: 'browser' }),
        signals: signal ? [died, signal] : [died],
      });
    } catch (cause) {
      if (cause instanceof ApplicationError) throw cause;
      // What Puppeteer says of a lost connection comes before the news of the process' end.
      await sleep(NEWS_MS, undefined, { signal: died }).catch(() => undefined);
      throw died.aborted
        ? abortError(died)
        : new UnavailableError(messageOf(cause), { place: 'browser', cause });
    }
  }
}

/** The whole identity, client hints included, which a start argument does not reach. */
async function disguise(client: CDPSession, { userAgent, languages, metadata }: Identity): Promise<void> {
  await client.send('Emulation.setUserAgentOverride', {
    userAgent,
    acceptLanguage: languages.join(','),
    platform: 'Linux x86_64',
    userAgentMetadata: metadata,
  });
}
