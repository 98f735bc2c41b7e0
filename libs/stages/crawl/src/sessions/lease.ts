import { UnavailableError } from '@online-cnclip/foundation';
import type { SiteBrowser } from '../browser/site-browser.ts';

/** What a session turned out to be when its query had ended. */
export type LeaseEnd =
  | { readonly kind: 'ready' }
  /** The site asked to slow down. */
  | { readonly kind: 'cooling'; readonly resumeAt: number; readonly reason: string }
  | { readonly kind: 'challenge'; readonly screenshotPng: Uint8Array }
  | { readonly kind: 'logged-out' }
  /** The browser or its page died, or what it shows is not understood: to be probed. */
  | { readonly kind: 'doubtful'; readonly reason: string };

/** A session, for one query. Its holder must stop when the signal aborts, and give it back whatever happens. */
export interface Lease {
  readonly sessionId: bigint;
  readonly browser: SiteBrowser;
  readonly fencingToken: number;
  /** Aborted when the lease runs out, or the sessions end. */
  readonly signal: AbortSignal;
  /** Before anything is kept of what was fetched. @throws LeaseLostError when the session is somebody else's by now. */
  requireCurrent(): void;
  /** The second time, and after the lease was lost, does nothing. */
  release(end: LeaseEnd): void;
}

/** The lease ran out: what its holder still gets counts for nothing. */
export class LeaseLostError extends UnavailableError {}

/** No session for now: the site is to be left alone, or every session has had its share of the day. */
export class NotNowError extends UnavailableError {
  readonly why: 'rate-limited' | 'daily-cap';
  /** Milliseconds since 1970. */
  readonly until: number;

  constructor(why: 'rate-limited' | 'daily-cap', until: number) {
    const text =
      why === 'daily-cap' ? 'every session has had its queries of the day' : 'the site is left alone';
    super(`${text} until ${new Date(until).toISOString()}`);
    this.why = why;
    this.until = until;
  }
}

/** There is no session, and none came in time: somebody has to log one in. */
export class NoSessionError extends UnavailableError {}
