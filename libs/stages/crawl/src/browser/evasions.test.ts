import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EVASIONS } from './evasions.ts';
import type { FoundBrowser } from './find-browser.ts';
import { findTestBrowser, openTestSession, waitFor } from './testing/browsers.ts';
import { type FixtureShop, startFixtureShop } from './testing/fixture-shop.ts';

const signal = new AbortController().signal;
let shop: FixtureShop;
let found: FoundBrowser;
before(async () => {
  shop = await startFixtureShop();
  found = await findTestBrowser();
});
after(() => shop?.stop());

/** What the fixture's mirror page (services/fixture-shop/src/pages.ts) finds out about a browser. */
interface Seen {
  readonly userAgent: string;
  readonly webdriver: boolean | null;
  readonly languages: readonly string[];
  readonly language: string;
  readonly platform: string;
  readonly cores: number;
  readonly brands: readonly string[] | null;
  readonly hintPlatform: string | null;
}
interface Reflection {
  readonly page: Seen;
  readonly worker: Seen;
  readonly headers: Readonly<Record<string, string>>;
  /** The stack of whoever called the page's own functions from outside. */
  readonly asked: string | null;
  readonly [finding: string]: unknown;
}

async function look(options: { stealth?: boolean; found?: FoundBrowser }): Promise<Reflection> {
  await shop.control('DELETE', 'record');
  const session = await openTestSession(shop, {
    ...options,
    profile: (profile) => ({
      ...profile,
      addresses: { ...profile.addresses, home: `${profile.origin}/mirror` },
    }),
  });
  try {
    await session.site.probe(signal);
    let reports: Reflection[] = [];
    await waitFor('a report', async () => {
      reports = (await shop.control('GET', 'reports'))['reports'] as unknown as Reflection[];
      return reports.length > 0;
    });
    return reports[0] as Reflection;
  } finally {
    await session.remove();
  }
}

const major = (): string => found.version.split('.')[0] ?? '';

/** What each evasion is there for, as a site sees it. */
const contracts: Readonly<Record<(typeof EVASIONS)[number], (seen: Reflection) => void>> = {
  'chrome.app': ({ app }) => assert.equal(app, false),
  'chrome.csi': ({ csi }) => assert.equal(csi, 'function'),
  'chrome.loadTimes': ({ loadTimes }) => assert.equal(loadTimes, 'number'),
  // It acts on https alone, and a fixture on loopback has no certificate: here it must merely break nothing.
  'chrome.runtime': () => undefined,
  // Of Puppeteer's arguments, it drops those that a page could tell by missing extensions; nothing shows that on a plain page.
  defaultArgs: () => undefined,
  'media.codecs': ({ mp4 }) => assert.equal(mp4, 'probably'),
  'navigator.languages': ({ page }) => assert.deepEqual(page.languages, ['zh-CN', 'zh']),
  // A page that is not https cannot ask for notifications.
  'navigator.permissions': ({ notification }) => assert.equal((notification as string[])[1], 'denied'),
  'navigator.plugins': ({ plugins }) => assert.ok((plugins as string[]).some((name) => name.includes('PDF'))),
  'navigator.vendor': ({ vendor }) => assert.equal(vendor, 'Google Inc.'),
  'navigator.webdriver': ({ page }) => assert.equal(page.webdriver, false),
  'webgl.vendor': ({ graphics }) => assert.match((graphics as string[])[1] ?? '', /Intel.*Mesa/),
  'window.outerdimensions': ({ outer, inner }) =>
    assert.ok(
      (outer as number[]).every((side, i) => side >= ((inner as number[])[i] ?? 0)),
      `${outer} ${inner}`,
    ),
};

test('each evasion does what it is there for', async (t) => {
  const seen = await look({});
  for (const name of EVASIONS) await t.test(name, () => contracts[name](seen));
});

test('page, worker and headers tell of one browser on one system', async () => {
  for (const source of [undefined, ['npm']] as const) {
    const browser = await findTestBrowser(source ? [...source] : undefined);
    const { page, worker, headers } = await look({ found: browser });
    const version = browser.version.split('.')[0];
    const userAgent =
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) ' +
      `Chrome/${version}.0.0.0 Safari/537.36`;
    const brands = ['Not)A;Brand', 'Chromium', 'Google Chrome'];
    for (const seen of [page, worker]) {
      assert.equal(seen.userAgent, userAgent);
      assert.deepEqual(seen.languages, ['zh-CN', 'zh']);
      assert.deepEqual(seen.brands, brands);
      assert.equal(seen.hintPlatform, 'Linux');
      assert.equal(seen.platform, 'Linux x86_64');
      assert.equal(seen.cores, page.cores);
    }
    assert.equal(headers['user-agent'], userAgent);
    assert.match(headers['accept-language'] ?? '', /^zh-CN,zh/);
    assert.match(headers['sec-ch-ua'] ?? '', new RegExp(`"Google Chrome";v="${version}"`));
    assert.equal(headers['sec-ch-ua-platform'], '"Linux"');
  }
});

test('a page does not see the program look at it', async () => {
  assert.equal((await look({})).asked, null);
});

test('switched off, the browser shows what it is, and the user agent stays honest about its version', async () => {
  const { page, graphics, headers } = await look({ stealth: false });
  assert.equal(page.webdriver, true);
  assert.doesNotMatch(String(graphics), /Mesa/, 'the mirror sees no difference: the contracts prove nothing');
  assert.match(headers['user-agent'] ?? '', new RegExp(`Chrome/${major()}\\.`));
});
