/** A browser that is (or can be) logged in to one site: what a crawl session drives. Not safe for calls at the same time. */
export interface SiteBrowser {
  /** `Chrome/156.0.8078.79`. */
  readonly version: string;
  /** What the site is told: the same in pages, workers and headers, so that downloads can say it too. */
  readonly userAgent: string;
  /** Of the browser's main process, whose end is the end of all of them. */
  readonly processId: number;
  /**
   * Shows the log-in page's QR code until somebody has scanned and confirmed it; a code that expires is replaced.
   *
   * @throws LogInExpiredError when the last code has expired, ChallengeError when the site wants a person,
   *   ProfileMismatchError when the page lacks what the profile says, and the errors of {@link search}.
   */
  logIn(options: LogInOptions): Promise<void>;
  /** Opens the home page and says in which state the site sees this session. @throws the errors of {@link search}. */
  probe(signal: AbortSignal): Promise<ProbeOutcome>;
  /**
   * Types the query into the site's search box, as a person would, and reads the list of results.
   *
   * @throws NavigationTimeoutError, PageCrashedError (a further call opens a new page), BrowserDiedError, and
   *   CancelledError once the signal is aborted; whatever the *site* answers is an outcome instead.
   */
  search(query: string, options: SearchOptions): Promise<SearchOutcome>;
  /** PNG of what the page shows now. */
  screenshot(): Promise<Uint8Array>;
  /** Every cookie, those included that a browser forgets when it ends. */
  exportCookies(): Promise<readonly SiteCookie[]>;
  importCookies(cookies: readonly SiteCookie[]): Promise<void>;
  /** Resolves, never rejects, when the browser's process has ended, wanted or not. */
  readonly closed: Promise<BrowserEnd>;
  /** Ends the browser, by force where it does not answer in time. Never rejects; again does nothing. */
  close(): Promise<void>;
}

export interface LogInOptions {
  /** Each code as soon as it is shown. */
  onQrCode(code: QrCode): void;
  /** Somebody has scanned the code and has yet to confirm. */
  onScanned(): void;
  readonly signal: AbortSignal;
}

export interface QrCode {
  /** The code as the page shows it. */
  readonly png: Uint8Array;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** 1 for the first code. */
  readonly attempt: number;
}

/** `unexpected`: neither ready nor any other state that the profile knows. */
export type ProbeOutcome = 'ready' | 'logged-out' | 'challenge' | 'unexpected';

export interface SearchOptions {
  /** Candidates to look for at least; the page is scrolled for more, up to the profile's limit. */
  readonly wanted: number;
  readonly signal: AbortSignal;
}

export type SearchOutcome =
  | { readonly kind: 'results'; readonly pageUrl: string; readonly candidates: readonly ImageCandidate[] }
  | { readonly kind: 'no-results' }
  | { readonly kind: 'challenge'; readonly screenshotPng: Uint8Array }
  | { readonly kind: 'logged-out' }
  | { readonly kind: 'rate-limited'; readonly status: number; readonly retryAfterMs?: number }
  | { readonly kind: 'profile-mismatch'; readonly detail: string };

/** Possibly fewer than wanted: the site had no more. Promoted items are left out; each url is there once. */
export interface ImageCandidate {
  /** Absolute, http or https. */
  readonly url: string;
  /** Position among the results that are not promoted, from 0. */
  readonly rank: number;
}

/** Plain data, fit for JSON. */
export interface SiteCookie {
  readonly name: string;
  readonly value: string;
  readonly domain: string;
  readonly path: string;
  /** Milliseconds since 1970; none: a cookie of the browser's session. */
  readonly expiresAt?: number;
  readonly httpOnly: boolean;
  readonly secure: boolean;
  readonly sameSite?: 'Strict' | 'Lax' | 'None';
}

export interface BrowserEnd {
  /** False where it ended by itself: crashed, killed, or disconnected. */
  readonly wanted: boolean;
  /** `status 0`, `SIGKILL`. */
  readonly how: string;
}
