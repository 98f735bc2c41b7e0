import { messageOf } from '@online-cnclip/foundation';
import type { Failure, NewImage, QueryOutcome } from '@online-cnclip/image-cache';
import {
  BrowserDiedError,
  NavigationFailedError,
  NavigationTimeoutError,
  PageCrashedError,
  ProfileMismatchError,
} from '../browser/errors.ts';
import type { ImageCandidate, SearchOutcome } from '../browser/site-browser.ts';
import type { Downloader, Downloads } from '../downloads/downloader.ts';
import type { TokenBucket } from '../manners/token-bucket.ts';
import { type Lease, LeaseLostError } from '../sessions/lease.ts';

/** How one try at a query ended: for good, or to be tried again. */
export type AttemptEnd =
  | { readonly kind: 'done'; readonly outcome: QueryOutcome }
  | {
      readonly kind: 'again';
      readonly failure: Failure;
      /** The site said, or is known to want, so much rest; undefined: as is usual between tries. */
      readonly resumeAt?: number;
    };

export interface AttemptParts {
  readonly downloader: Downloader;
  /** The site's. */
  readonly bucket: TokenBucket;
  /** How long the site is left alone when it asks for it: by what it says, or by how often it did. */
  restMs(retryAfterMs: number | undefined): number;
  readonly now: () => number;
}

/** Candidates beyond those wanted, to make up for pictures that fail or are there twice. */
const SPARE_CANDIDATES = 4;

/** One try at a query with a leased session, which is given back as what it turned out to be. */
export async function attemptQuery(
  query: string,
  wanted: number,
  lease: Lease,
  parts: AttemptParts,
): Promise<AttemptEnd> {
  try {
    const { browser, signal } = lease;
    const outcome = await browser.search(query, { wanted: wanted + SPARE_CANDIDATES, signal });
    const end = outcome.kind === 'results' ? await fetchResults(outcome, wanted, lease, parts) : undefined;
    // The pictures of a session that is somebody else's by now are not kept.
    lease.requireCurrent();
    if (end) {
      lease.release({ kind: 'ready' });
      return end;
    }
    return endOfSearch(outcome, lease, parts);
  } catch (error) {
    return endOfError(error, lease);
  }
}

async function fetchResults(
  { pageUrl, candidates }: { pageUrl: string; candidates: readonly ImageCandidate[] },
  wanted: number,
  lease: Lease,
  { downloader, bucket, now, restMs }: AttemptParts,
): Promise<AttemptEnd> {
  const { browser, sessionId, signal } = lease;
  const downloads = await downloader.fetchImages({
    candidates,
    wanted,
    pageUrl,
    sessionId,
    userAgent: browser.userAgent,
    cookies: await browser.exportCookies(),
    signal,
  });
  const { images, failures, rateLimit } = downloads;
  const resumeAt = rateLimit && now() + restMs(rateLimit.retryAfterMs);
  if (resumeAt !== undefined) bucket.pauseUntil(resumeAt);
  if (images.length > 0) return { kind: 'done', outcome: okOutcome(images, wanted, downloads) };
  const message = failures[0]?.message ?? 'the results have no pictures';
  const failure: Failure = { reason: 'images', message: `none of ${failures.length}: ${message}` };
  if (rateLimit && resumeAt !== undefined)
    return { kind: 'again', failure: { reason: 'rate-limited', message: rateLimit.message }, resumeAt };
  if (failures.some(({ retryable }) => retryable)) return { kind: 'again', failure };
  return { kind: 'done', outcome: { state: 'FAILED', failure } };
}

/** Where pictures failed that may come another time, the cache is not to think that the site had no more. */
function okOutcome(images: readonly NewImage[], wanted: number, { failures }: Downloads): QueryOutcome {
  const mayHaveMore = failures.some(({ retryable }) => retryable);
  return { state: 'OK', images, wanted: mayHaveMore ? Math.min(wanted, images.length) : wanted };
}

function endOfSearch(
  outcome: SearchOutcome,
  lease: Lease,
  { bucket, restMs, now }: AttemptParts,
): AttemptEnd {
  switch (outcome.kind) {
    case 'no-results':
      lease.release({ kind: 'ready' });
      return { kind: 'done', outcome: { state: 'NO_RESULTS' } };
    case 'rate-limited': {
      const resumeAt = now() + restMs(outcome.retryAfterMs);
      const reason = `the site answered ${outcome.status}`;
      // The whole site: another session would be the same again.
      bucket.pauseUntil(resumeAt);
      lease.release({ kind: 'cooling', resumeAt, reason });
      return { kind: 'again', failure: { reason: 'rate-limited', message: reason }, resumeAt };
    }
    case 'challenge': {
      lease.release({ kind: 'challenge', screenshotPng: outcome.screenshotPng });
      // A sign that it was too much: whoever else is logged in rests as well.
      const resumeAt = now() + restMs(undefined);
      bucket.pauseUntil(resumeAt);
      const message = `session ${lease.sessionId} is asked for a person`;
      return { kind: 'again', failure: { reason: 'challenge', message }, resumeAt };
    }
    case 'logged-out':
      lease.release({ kind: 'logged-out' });
      return {
        kind: 'again',
        failure: { reason: 'logged-out', message: `session ${lease.sessionId} was logged out` },
      };
    case 'profile-mismatch':
      lease.release({ kind: 'doubtful', reason: outcome.detail });
      return { kind: 'again', failure: { reason: 'profile-mismatch', message: outcome.detail } };
    default:
      throw new TypeError(`unknown outcome of a search: ${outcome.kind}`);
  }
}

function endOfError(thrown: unknown, lease: Lease): AttemptEnd {
  const { signal } = lease;
  const error = signal.aborted && signal.reason instanceof LeaseLostError ? signal.reason : thrown;
  const message = messageOf(error);
  const reason = reasonOf(error);
  const isPageOnly = error instanceof NavigationTimeoutError || error instanceof NavigationFailedError;
  lease.release(isPageOnly ? { kind: 'ready' } : { kind: 'doubtful', reason: message });
  // Not the search's: the end of the service, or a defect.
  if (reason === undefined) throw error;
  return { kind: 'again', failure: { reason, message } };
}

function reasonOf(error: unknown): Failure['reason'] | undefined {
  if (error instanceof NavigationTimeoutError || error instanceof NavigationFailedError) return 'navigation';
  if (error instanceof BrowserDiedError || error instanceof PageCrashedError) return 'browser';
  if (error instanceof LeaseLostError) return 'browser';
  if (error instanceof ProfileMismatchError) return 'profile-mismatch';
  return undefined;
}
