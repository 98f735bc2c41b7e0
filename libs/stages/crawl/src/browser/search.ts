import { InvalidInputError } from '@online-cnclip/foundation';
import { NavigationFailedError, ProfileMismatchError } from './errors.ts';
import { type ResultPage, readResults, scrollDown } from './page-scripts.ts';
import { InterruptedTyping, typeAndEnter } from './person.ts';
import type { ImageCandidate, SearchOptions, SearchOutcome } from './site-browser.ts';
import {
  currentPlace,
  documentState,
  goTo,
  LOOK_TIMEOUT_MS,
  pause,
  type SitePage,
  takeScreenshot,
  waitUntilShown,
} from './site-page.ts';

/** A page that never ends is read no further; the research code's sites show 44 to 48 items a page. */
const MAX_ITEMS = 200;
/** Scrolls in a row that brought nothing, until a page counts as read to its end; the first may have been too fast. */
const FRUITLESS_SCROLLS = 1;

/** What of a query can be typed: a line break would send it off, a tab would leave the box. @throws InvalidInputError */
export function typeable(query: string): string {
  const text = query.replace(/[\s\p{Cc}]+/gu, ' ').trim();
  if (text === '')
    throw new InvalidInputError(`${JSON.stringify(query)} holds nothing to search for`, { place: 'query' });
  return text;
}

/** What the site answers to one query. Throws as {@link SiteBrowser.search} does. */
export async function searchSite(
  site: SitePage,
  query: string,
  { wanted, signal }: SearchOptions,
): Promise<SearchOutcome> {
  const text = typeable(query);
  try {
    const before = await openSearchBox(site, signal);
    if (before !== undefined) return before;
    await submit(site, text, signal);
    return (await interruption(site, signal)) ?? (await readOutcome(site, wanted, signal));
  } catch (error) {
    if (error instanceof InterruptedTyping) {
      const outcome = await interruption(site, signal);
      if (outcome !== undefined) return outcome;
      throw new NavigationFailedError(site.guarded.page.url(), error.message, error);
    }
    if (error instanceof ProfileMismatchError) return { kind: 'profile-mismatch', detail: error.message };
    throw error;
  }
}

/** Goes to a page with a search box, unless it is on one. */
async function openSearchBox(site: SitePage, signal: AbortSignal): Promise<SearchOutcome | undefined> {
  const { profile, guarded } = site;
  const { searchBox } = profile.selectors;
  const onSite = new URL(guarded.page.url()).origin === profile.origin && documentState(site).kind === 'fine';
  if (onSite) {
    const outcome = await interruption(site, signal);
    // Whatever the page was left at a while ago may be over by now: only a fresh page counts.
    if (outcome === undefined && (await waitUntilShown(site, searchBox, 0, signal))) return undefined;
  }
  await goTo(site, profile.addresses.home, signal);
  const outcome = await interruption(site, signal);
  if (outcome !== undefined) return outcome;
  if (await waitUntilShown(site, searchBox, profile.waits.resultsMs, signal)) return undefined;
  const late = await interruption(site, signal);
  if (late !== undefined) return late;
  throw new ProfileMismatchError('selectors.searchBox', searchBox, guarded.page.url());
}

async function submit(site: SitePage, text: string, signal: AbortSignal): Promise<void> {
  const { guarded, profile } = site;
  const timeoutMs = profile.waits.navigationMs;
  const left = guarded.page.waitForNavigation({ waitUntil: 'domcontentloaded', timeout: 0 });
  // When typing fails, nobody waits for it any more.
  left.catch(() => undefined);
  await typeAndEnter(site, profile.selectors.searchBox, text, signal);
  await guarded.run({ timeoutMs, signal }, () => left);
}

/** What keeps the session from reading results, if anything does. */
async function interruption(site: SitePage, signal: AbortSignal): Promise<SearchOutcome | undefined> {
  const state = documentState(site);
  if (state.kind === 'rate-limited') return state;
  const place = await currentPlace(site, signal);
  if (place === 'challenge') return { kind: 'challenge', screenshotPng: await takeScreenshot(site, signal) };
  if (place === 'log-in') return { kind: 'logged-out' };
  if (state.kind === 'error')
    throw new NavigationFailedError(site.guarded.page.url(), `the site answered ${state.status}`);
  return undefined;
}

async function readOutcome(site: SitePage, wanted: number, signal: AbortSignal): Promise<SearchOutcome> {
  const { waits } = site.profile;
  const deadline = Date.now() + waits.resultsMs;
  for (;;) {
    const page = await readPage(site, signal);
    if (page?.noResults) return { kind: 'no-results' };
    if (page !== undefined && page.items > 0) break;
    const outcome = await interruption(site, signal);
    if (outcome !== undefined) return outcome;
    if (Date.now() >= deadline) throw emptyPage(site, page);
    await pause(waits.pollMs, signal);
  }
  return collect(site, wanted, signal);
}

/** Reads the results, scrolling for more while that brings more. */
async function collect(site: SitePage, wanted: number, signal: AbortSignal): Promise<SearchOutcome> {
  const { waits } = site.profile;
  const pageUrl = site.guarded.page.url();
  let candidates: ImageCandidate[] = [];
  let fruitless = 0;
  for (let scrolls = 0; ; scrolls++) {
    const page = await readPage(site, signal);
    if (page === undefined)
      return (await interruption(site, signal)) ?? { kind: 'results', pageUrl, candidates };
    const more = candidatesOf(page, pageUrl);
    fruitless = more.length > candidates.length ? 0 : fruitless + 1;
    candidates = more;
    if (page.items >= MAX_ITEMS || more.length >= wanted) break;
    if (fruitless > FRUITLESS_SCROLLS || scrolls >= waits.scrolls) {
      if (candidates.length === 0) checkItems(site, page);
      break;
    }
    await site.guarded.inspect({ timeoutMs: LOOK_TIMEOUT_MS, signal }, scrollDown);
    await pause(waits.scrollPauseMs, signal);
  }
  // Nothing but advertisements is nothing.
  return candidates.length === 0 ? { kind: 'no-results' } : { kind: 'results', pageUrl, candidates };
}

function readPage({ guarded, profile }: SitePage, signal: AbortSignal): Promise<ResultPage | undefined> {
  const { resultList, item, image, imageAttribute, promoted, noResults } = profile.selectors;
  return guarded.inspect({ timeoutMs: LOOK_TIMEOUT_MS, signal }, readResults, {
    ...{ resultList, item, image, imageAttribute, noResults },
    promoted: promoted ?? null,
    maxItems: MAX_ITEMS,
  });
}

/** Addresses as written may lack their scheme (`//img.example/1.jpg`); the page's own completes them. */
export function candidatesOf(page: ResultPage, pageUrl: string): ImageCandidate[] {
  const seen = new Set<string>();
  const candidates: ImageCandidate[] = [];
  for (const [rank, source] of page.sources.entries()) {
    const url = source === null || source === '' ? null : URL.parse(source, pageUrl);
    if (url === null || !/^https?:$/.test(url.protocol) || seen.has(url.href)) continue;
    seen.add(url.href);
    candidates.push({ url: url.href, rank });
  }
  return candidates;
}

function emptyPage({ guarded, profile }: SitePage, page: ResultPage | undefined): ProfileMismatchError {
  const { resultList, item } = profile.selectors;
  const url = guarded.page.url();
  return page?.list
    ? new ProfileMismatchError('selectors.item', item, url)
    : new ProfileMismatchError('selectors.resultList', resultList, url);
}

/** @throws ProfileMismatchError where items are there and the profile finds no picture in any. */
function checkItems({ guarded, profile }: SitePage, page: ResultPage): void {
  const { image, imageAttribute } = profile.selectors;
  const url = guarded.page.url();
  if (page.sources.some((source) => source !== null)) return;
  if (page.sources.length > 0)
    throw new ProfileMismatchError('selectors.imageAttribute', imageAttribute, url);
  if (page.withoutImage > 0) throw new ProfileMismatchError('selectors.image', image, url);
}
