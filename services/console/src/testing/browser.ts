import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';

/** Where distributions put them; `CHROMIUM_PATH` names any other. */
const PROGRAMS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/google-chrome',
];
const SCREENSHOTS = fileURLToPath(new URL('../../../../var/screenshots', import.meta.url));
const TIMEOUT_MS = 20_000;

export function findChromium(): string | undefined {
  const named = process.env['CHROMIUM_PATH'];
  return named ?? PROGRAMS.find((path) => existsSync(path));
}

export function launchChromium(executablePath: string): Promise<Browser> {
  return puppeteer.launch({
    executablePath,
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
