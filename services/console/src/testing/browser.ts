import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BrowserNotFoundError, type FoundBrowser, findBrowser } from '@online-cnclip/crawl';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';

const SCREENSHOTS = fileURLToPath(new URL('../../../../var/screenshots', import.meta.url));
const UNPACK_FOLDER = fileURLToPath(new URL('../../../../var/browser', import.meta.url));
const TIMEOUT_MS = 60_000;

/** An installed one, else that of the npm package; undefined where there is neither. */
export async function findTestBrowser(): Promise<FoundBrowser | undefined> {
  const executablePath = process.env['CHROMIUM_PATH'];
  try {
    return await findBrowser({ executablePath, environment: process.env, unpackFolder: UNPACK_FOLDER });
  } catch (error) {
    if (error instanceof BrowserNotFoundError) return undefined;
    throw error;
  }
}

export function launchTestBrowser({ executablePath, source, environment }: FoundBrowser): Promise<Browser> {
  return puppeteer.launch({
    executablePath,
    // Of the locale C the headless shell makes a language that is none (en-US@posix).
    env: { ...environment, LANG: 'en_US.UTF-8' },
    // The package's browser is the old headless shell and knows no other mode.
    headless: source === 'npm' ? 'shell' : true,
    args: [
      // Containers and CI run as root, where Chromium's sandbox does not start; it sees loopback only.
      ...['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb', '--lang=en'],
      // A mouse, as on a desk; headless Chromium has none of itself.
      '--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4',
    ],
  });
}

export interface TestPage {
  readonly page: Page;
  /** Everything that a user would find red in the browser's console. */
  readonly complaints: readonly string[];
  /** Keeps a picture of what there is to see in `var/screenshots`. */
  capture(name: string): Promise<void>;
}

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly language?: string;
}

export async function openPage(browser: Browser, url: string, options: PageOptions = {}): Promise<TestPage> {
  const { width = 1400, height = 900, dark = false, language = 'en' } = options;
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  const complaints: string[] = [];
  page.on('console', (line) => {
    if (line.type() === 'error' || line.type() === 'warn') complaints.push(line.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.setViewport({ width, height });
  await page.setExtraHTTPHeaders({ 'accept-language': language });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]);
  await page.goto(url);
  return {
    page,
    complaints,
    async capture(name) {
      mkdirSync(SCREENSHOTS, { recursive: true });
      await page.screenshot({ path: `${join(SCREENSHOTS, name)}.png` });
    },
  };
}
