import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadSiteProfile, type SiteProfile } from '../../site/site-profile.ts';
import { type FindBrowserOptions, type FoundBrowser, findBrowser } from '../find-browser.ts';
import { openSiteBrowser, type SiteBrowserOptions } from '../open-site-browser.ts';
import type { SiteBrowser } from '../site-browser.ts';
import type { FixtureShop } from './fixture-shop.ts';

/** Kept between runs: unpacking takes seconds. */
const UNPACK_FOLDER = fileURLToPath(new URL('../../../../../../var/browser', import.meta.url));

/** Whichever browser is there; that of the npm package always is. `CRAWL_TEST_BROWSER=npm` asks for it. */
export function findTestBrowser(sources = preferredSources()): Promise<FoundBrowser> {
  return findBrowser({
    environment: process.env,
    unpackFolder: UNPACK_FOLDER,
    ...(sources ? { sources } : {}),
  });
}

function preferredSources(): FindBrowserOptions['sources'] {
  return process.env['CRAWL_TEST_BROWSER'] === 'npm' ? ['npm'] : undefined;
}

/** Waits that suit a fixture that answers at once. */
export const shortWaits: Partial<SiteProfile['waits']> = {
  resultsMs: 1_500,
  pollMs: 30,
  keyDelayMs: [0, 2],
  scrollPauseMs: 150,
};

export interface TestSession {
  readonly site: SiteBrowser;
  readonly userDataDir: string;
  /** Another browser on the same folder. */
  reopen(): Promise<SiteBrowser>;
  /** Ends the browsers and removes the folder. */
  remove(): Promise<void>;
}

export interface TestSessionOptions extends Partial<Omit<SiteBrowserOptions, 'profile'>> {
  readonly waits?: Partial<SiteProfile['waits']>;
  readonly profile?: (profile: SiteProfile) => SiteProfile;
}

export async function openTestSession(
  shop: Pick<FixtureShop, 'origin'>,
  { waits, profile = (one) => one, ...options }: TestSessionOptions = {},
): Promise<TestSession> {
  const userDataDir = mkdtempSync(join(tmpdir(), 'site-browser-test-'));
  const found = options.found ?? (await findTestBrowser());
  const loaded = loadSiteProfile('fixture-shop', { origin: shop.origin, waits: { ...shortWaits, ...waits } });
  const opened: SiteBrowser[] = [];
  const reopen = async (): Promise<SiteBrowser> => {
    const signal = new AbortController().signal;
    const site = await openSiteBrowser({ signal, ...options, profile: profile(loaded), found, userDataDir });
    opened.push(site);
    return site;
  };
  const remove = async (): Promise<void> => {
    await Promise.all(opened.map((site) => site.close()));
    rmSync(userDataDir, { recursive: true, force: true });
  };
  try {
    return { site: await reopen(), userDataDir, reopen, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Logs a session in by its cookie alone. */
export async function logInByCookie(shop: FixtureShop, site: SiteBrowser): Promise<string> {
  const session = (await shop.control('POST', 'log-in'))['session'] as unknown as string;
  const { hostname } = new URL(shop.origin);
  await site.importCookies([
    { name: 'shop_session', value: session, domain: hostname, path: '/', httpOnly: true, secure: false },
  ]);
  return session;
}

/** Ids of the processes that were started with this text in their command line. */
export function processesOf(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => commandLine(pid).includes(text))
    .map(Number);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Far longer than anything waited for takes on a busy machine. */
const PATIENCE_MS = 30_000;

export async function waitFor(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not in ${PATIENCE_MS} ms: ${what}`);
    await sleep(50);
  }
}
