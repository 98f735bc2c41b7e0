import { setTimeout as sleep } from 'node:timers/promises';
import { abortError, messageOf } from '@online-cnclip/foundation';
import type { SiteProfile } from '../site/site-profile.ts';
import type { GuardedPage } from './guarded-page.ts';
import { findShown } from './page-scripts.ts';

/** A page of one site, seen through the site's profile. */
export interface SitePage {
  readonly guarded: GuardedPage;
  readonly profile: SiteProfile;
}

/** Where the site has put the session. `page`: on a page of its own content, or between two. */
export type Place = 'page' | 'challenge' | 'log-in';

/** Statuses that ask for patience; any other of 400 and above is a fault of the page. */
const RATE_LIMIT_STATUSES = [429, 503];
const FIRST_ERROR_STATUS = 400;

export type DocumentState =
  | { readonly kind: 'fine' }
  | { readonly kind: 'rate-limited'; readonly status: number; readonly retryAfterMs?: number }
  | { readonly kind: 'error'; readonly status: number };

/** What a navigation ends with that another one replaced. */
const OVERTAKEN = 'net::ERR_ABORTED';

/** Of an operation that only looks at the page: it answers at once or not at all. */
export const LOOK_TIMEOUT_MS = 10_000;

/** Asks for a page. Where the page that was left goes somewhere else at the same moment, that one may be shown instead. */
export async function goTo({ guarded, profile }: SitePage, url: string, signal: AbortSignal): Promise<void> {
  const timeoutMs = profile.waits.navigationMs;
  await guarded.run({ timeoutMs, signal }, async (page) => {
    try {
      // The guard's limit is the one that counts.
      await page.goto(url, { waitUntil: 'domcontentloaded', timeout: 0 });
    } catch (error) {
      if (!messageOf(error).includes(OVERTAKEN)) throw error;
    }
  });
}

/** @throws NavigationFailedError when the browser shows that it could not reach the site. */
export async function currentPlace({ guarded, profile }: SitePage, signal: AbortSignal): Promise<Place> {
  const { challengePages, logInPages } = profile.addresses;
  if (guarded.failure !== undefined) throw guarded.failure;
  const url = guarded.page.url();
  if (challengePages.some((beginning) => url.startsWith(beginning))) return 'challenge';
  const { challenge } = profile.selectors;
  if (challenge !== undefined && (await isShown({ guarded, profile }, challenge, signal))) return 'challenge';
  return logInPages.some((beginning) => url.startsWith(beginning)) ? 'log-in' : 'page';
}

/** Whether the page shows what a selector finds; false between two pages. */
export async function isShown(
  { guarded }: SitePage,
  selector: string | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  if (selector === undefined) return false;
  const shown = await guarded.inspect({ timeoutMs: LOOK_TIMEOUT_MS, signal }, findShown, [selector]);
  return shown?.[0] ?? false;
}

/** Waits until the page shows it. @returns false when the time is over. */
export async function waitUntilShown(
  site: SitePage,
  selector: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    if (await isShown(site, selector, signal)) return true;
    if (Date.now() >= deadline) return false;
    await pause(site.profile.waits.pollMs, signal);
  }
}

/** @throws CancelledError */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch {
    throw abortError(signal);
  }
}

export async function takeScreenshot({ guarded }: SitePage, signal: AbortSignal): Promise<Uint8Array> {
  return guarded.run({ timeoutMs: LOOK_TIMEOUT_MS, signal }, (page) => page.screenshot({ type: 'png' }));
}

/** What the site answered for the page that is shown. */
export function documentState({ guarded }: SitePage, now = Date.now()): DocumentState {
  const answer = guarded.document;
  const status = answer?.status() ?? 0;
  if (answer === undefined || status < FIRST_ERROR_STATUS) return { kind: 'fine' };
  if (!RATE_LIMIT_STATUSES.includes(status)) return { kind: 'error', status };
  const retryAfterMs = parseRetryAfter(answer.headers()['retry-after'], now);
  return { kind: 'rate-limited', status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** Seconds or a date (RFC 9110, 10.2.3). @returns milliseconds from now; undefined where it says neither. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1_000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
