import { ChallengeError, LogInExpiredError, NavigationFailedError, ProfileMismatchError } from './errors.ts';
import { isLoaded } from './page-scripts.ts';
import type { LogInOptions } from './site-browser.ts';
import {
  currentPlace,
  documentState,
  goTo,
  isShown,
  LOOK_TIMEOUT_MS,
  pause,
  type SitePage,
  takeScreenshot,
} from './site-page.ts';

/** Shows QR codes until one of them is confirmed. Throws as {@link SiteBrowser.logIn} does. */
export async function logInByQrCode(site: SitePage, options: LogInOptions): Promise<void> {
  const { profile } = site;
  const attempts = profile.waits.qrRefreshes + 1;
  await goTo(site, profile.addresses.logIn, options.signal);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    if (attempt > 1) await refreshCode(site, options.signal);
    // Whoever is still logged in is sent on at once.
    if (await hasLeft(site, options.signal)) return;
    if (await waitForScan(site, attempt, options)) return;
  }
  throw new LogInExpiredError(attempts, profile.addresses.logIn);
}

/** @returns false when the code has expired. */
async function waitForScan(site: SitePage, attempt: number, options: LogInOptions): Promise<boolean> {
  const { signal } = options;
  const { selectors, waits } = site.profile;
  const shownAt = Date.now();
  const png = await photographCode(site, signal);
  // Somebody was faster than the camera.
  if (png === undefined) return waitUntilLeft(site, signal);
  const expiresAt = shownAt + waits.qrLifetimeMs;
  options.onQrCode({ png, expiresAt, attempt });
  let scanned = false;
  while (Date.now() < expiresAt) {
    if (await hasLeft(site, signal)) return true;
    if (!scanned && (await isShown(site, selectors.qrScanned, signal))) {
      scanned = true;
      options.onScanned();
    }
    if (await isShown(site, selectors.qrExpired, signal)) return false;
    await pause(waits.pollMs, signal);
  }
  return hasLeft(site, signal);
}

/** @returns false where the page stays. */
async function waitUntilLeft(site: SitePage, signal: AbortSignal): Promise<boolean> {
  const { navigationMs, pollMs } = site.profile.waits;
  const deadline = Date.now() + navigationMs;
  while (!(await hasLeft(site, signal))) {
    if (Date.now() >= deadline) return false;
    await pause(pollMs, signal);
  }
  return true;
}

/** @throws ChallengeError; NavigationFailedError when the site refuses the page. */
async function hasLeft(site: SitePage, signal: AbortSignal): Promise<boolean> {
  const state = documentState(site);
  const url = site.guarded.page.url();
  if (state.kind !== 'fine') throw new NavigationFailedError(url, `the site answered ${state.status}`);
  const place = await currentPlace(site, signal);
  if (place === 'challenge') throw new ChallengeError(url, await takeScreenshot(site, signal));
  return place === 'page';
}

async function refreshCode(site: SitePage, signal: AbortSignal): Promise<void> {
  const { qrRefresh } = site.profile.selectors;
  if (qrRefresh !== undefined && (await isShown(site, qrRefresh, signal)))
    await site.guarded.runUnlessLeft({ timeoutMs: LOOK_TIMEOUT_MS, signal }, (page) => page.click(qrRefresh));
  else await goTo(site, site.profile.addresses.logIn, signal);
}

/** @returns undefined where the page was left before the picture was taken. */
async function photographCode(site: SitePage, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const { guarded, profile } = site;
  const { qrCode, qrSwitch } = profile.selectors;
  const limits = { timeoutMs: LOOK_TIMEOUT_MS, signal };
  if (qrSwitch !== undefined && !(await isShown(site, qrCode, signal))) {
    if (!(await waitForPart(site, 'qrSwitch', qrSwitch, signal))) return undefined;
    await guarded.runUnlessLeft(limits, (page) => page.click(qrSwitch));
  }
  if (!(await waitForPart(site, 'qrCode', qrCode, signal))) return undefined;
  while ((await guarded.inspect(limits, isLoaded, qrCode)) === false)
    await pause(profile.waits.pollMs, signal);
  return guarded.runUnlessLeft(limits, async (page) => {
    const element = await page.$(qrCode);
    return element === null ? undefined : element.screenshot({ type: 'png' });
  });
}

/** @returns false where the page was left. @throws ProfileMismatchError where it stays without that part. */
async function waitForPart(
  site: SitePage,
  name: 'qrSwitch' | 'qrCode',
  selector: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { pollMs, resultsMs } = site.profile.waits;
  const deadline = Date.now() + resultsMs;
  for (;;) {
    if (await hasLeft(site, signal)) return false;
    if (await isShown(site, selector, signal)) return true;
    if (Date.now() >= deadline)
      throw new ProfileMismatchError(`selectors.${name}`, selector, site.guarded.page.url());
    await pause(pollMs, signal);
  }
}
