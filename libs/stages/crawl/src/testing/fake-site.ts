import { setTimeout as sleep } from 'node:timers/promises';
import { abortError } from '@online-cnclip/foundation';
import { BrowserDiedError, LogInExpiredError } from '../browser/errors.ts';
import type {
  BrowserEnd,
  LogInOptions,
  ProbeOutcome,
  SearchOptions,
  SearchOutcome,
  SiteBrowser,
  SiteCookie,
} from '../browser/site-browser.ts';

/** What the next search finds; an error is thrown. */
type Answer = SearchOutcome | Error | 'hang';

const USER_COOKIE = 'user';

/** A site and the browsers on it, in memory: who has the cookie is logged in. */
export class FakeSite {
  /** Answers that come before the usual one, first in first out. */
  readonly answers: Answer[] = [];
  /** Probes that come before what the cookies say. */
  readonly probes: (ProbeOutcome | Error)[] = [];
  readonly browsers: FakeBrowser[] = [];
  /** Every search: when, by which browser. */
  readonly searches: { query: string; at: number; browser: FakeBrowser }[] = [];
  /** Searches going on at once, at most. */
  most = 0;
  /** What a log-in does after its code is shown. */
  phone: 'confirms' | 'never' = 'confirms';
  searchMs = 1;
  /** QR codes shown. */
  codes = 0;
  /** Address of the pictures of a query. */
  candidatesOf: (query: string) => string[] = () => [];
  #going = 0;

  openBrowser = async (): Promise<SiteBrowser> => {
    const browser = new FakeBrowser(this);
    this.browsers.push(browser);
    return browser;
  };

  async search(browser: FakeBrowser, query: string, { signal }: SearchOptions): Promise<SearchOutcome> {
    this.searches.push({ query, at: Date.now(), browser });
    this.#going += 1;
    this.most = Math.max(this.most, this.#going);
    try {
      const answer = this.answers.shift() ?? this.#usual(query);
      await sleep(answer === 'hang' ? 60_000 : this.searchMs, undefined, { signal, ref: false });
      if (answer instanceof Error) throw answer;
      return answer as SearchOutcome;
    } catch (error) {
      throw signal.aborted ? abortError(signal) : error;
    } finally {
      this.#going -= 1;
    }
  }

  #usual(query: string): SearchOutcome {
    const candidates = this.candidatesOf(query).map((url, rank) => ({ url, rank }));
    return candidates.length > 0
      ? { kind: 'results', pageUrl: 'http://127.0.0.1/search', candidates }
      : { kind: 'no-results' };
  }
}

export class FakeBrowser implements SiteBrowser {
  readonly version = 'Chrome/1';
  readonly userAgent = 'fake';
  readonly processId = 1;
  readonly #site: FakeSite;
  readonly #end = Promise.withResolvers<BrowserEnd>();
  readonly closed = this.#end.promise;
  cookies: readonly SiteCookie[] = [];

  constructor(site: FakeSite) {
    this.#site = site;
  }

  async logIn({ onQrCode, onScanned, signal }: LogInOptions): Promise<void> {
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      this.#site.codes += 1;
      onQrCode({ png: Buffer.from(`picture ${attempt}`), expiresAt: Date.now() + 1_000, attempt });
      await sleep(1, undefined, { signal });
      if (this.#site.phone === 'never') continue;
      onScanned();
      this.cookies = [
        { name: USER_COOKIE, value: 'secret', domain: 'shop', path: '/', httpOnly: true, secure: false },
      ];
      return;
    }
    throw new LogInExpiredError(2, 'http://shop/login');
  }

  async probe(): Promise<ProbeOutcome> {
    const outcome = this.#site.probes.shift() ?? (this.isLoggedIn ? 'ready' : 'logged-out');
    if (outcome instanceof Error) throw outcome;
    return outcome;
  }

  search(query: string, options: SearchOptions): Promise<SearchOutcome> {
    return this.#site.search(this, query, options);
  }

  async screenshot(): Promise<Uint8Array> {
    return Buffer.from('challenge');
  }

  async exportCookies(): Promise<readonly SiteCookie[]> {
    return this.cookies;
  }

  async importCookies(cookies: readonly SiteCookie[]): Promise<void> {
    this.cookies = cookies;
  }

  async close(): Promise<void> {
    this.#end.resolve({ wanted: true, how: 'status 0' });
  }

  /** As by kill(1). */
  die(): BrowserDiedError {
    this.#end.resolve({ wanted: false, how: 'SIGKILL' });
    return new BrowserDiedError('SIGKILL');
  }

  get isLoggedIn(): boolean {
    return this.cookies.some(({ name }) => name === USER_COOKIE);
  }
}
