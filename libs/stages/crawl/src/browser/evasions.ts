import { createRequire } from 'node:module';
import core, { type Browser, type LaunchOptions, type Page } from 'puppeteer-core';
import { addExtra, type VanillaPuppeteer } from 'puppeteer-extra';

/**
 * The only place that knows puppeteer-extra and its stealth plugin, both unmaintained since 2023 (docs/adr/0013).
 * Left out on purpose: `iframe.contentWindow` (breaks pages), `navigator.hardwareConcurrency` (the page then
 * contradicts its workers), `user-agent-override` (claims Windows, and needs two plugins that overwrite the
 * Preferences of a userDataDir; {@link Identity} does its work), `sourceurl` (does nothing with this Puppeteer; scripts run
 * in a world of their own instead).
 */
export const EVASIONS = [
  'chrome.app',
  'chrome.csi',
  'chrome.loadTimes',
  'chrome.runtime',
  'defaultArgs',
  'media.codecs',
  'navigator.languages',
  'navigator.permissions',
  'navigator.plugins',
  'navigator.vendor',
  'navigator.webdriver',
  'webgl.vendor',
  'window.outerdimensions',
] as const;

/** A common card as a Linux shows it: the plugin's own default is that of a Mac. */
const GRAPHICS = {
  vendor: 'Google Inc. (Intel)',
  renderer: 'ANGLE (Intel, Mesa Intel(R) UHD Graphics 620 (KBL GT2), OpenGL 4.6)',
};

export interface Launcher {
  launch(options: LaunchOptions): Promise<Browser>;
  /** A page on which everything that is to be hidden is. */
  newPage(browser: Browser): Promise<Page>;
}

/** What a plugin of puppeteer-extra has, as far as it matters here. */
interface Plugin {
  onPageCreated(page: Page): Promise<void>;
}

const require = createRequire(import.meta.url);
const plain: Launcher = {
  launch: (options) => core.launch(options),
  newPage: (browser) => browser.newPage(),
};
let stealthy: Launcher | undefined;

/** @param stealth false for the browser as it is: a way out, should a plugin break with a newer one. */
export function createLauncher(stealth: boolean, languages: readonly string[]): Launcher {
  if (!stealth) return plain;
  // Plugins are registered once for the whole process: each further time would run them once more on every page.
  stealthy ??= createStealthLauncher(languages);
  return stealthy;
}

function createStealthLauncher(languages: readonly string[]): Launcher {
  // Its type names a class of Puppeteer's that `puppeteer-core` calls differently since version 22.
  const extra = addExtra(core as unknown as VanillaPuppeteer);
  const finished = new WeakMap<Page, Set<Plugin>>();
  const pagePlugins = new Set<Plugin>();
  for (const name of EVASIONS) {
    const create = require(`puppeteer-extra-plugin-stealth/evasions/${name}/index.js`);
    const plugin = create(optionsOf(name, languages));
    if (Object.hasOwn(Object.getPrototypeOf(plugin), 'onPageCreated')) {
      pagePlugins.add(plugin);
      watchPlugin(plugin, finished);
    }
    extra.use(plugin);
  }
  return {
    launch: async (options) => (await extra.launch(options)) as unknown as Browser,
    newPage: async (browser) => {
      const page = await browser.newPage();
      await untilAllRan(page, pagePlugins, finished);
      return page;
    },
  };
}

function optionsOf(name: (typeof EVASIONS)[number], languages: readonly string[]): object {
  if (name === 'navigator.languages') return { languages };
  return name === 'webgl.vendor' ? GRAPHICS : {};
}

const PLUGIN_POLL_MS = 5;
/** A page that is closed meanwhile never gets there. */
const PLUGIN_LIMIT_MS = 10_000;

/**
 * puppeteer-extra runs its plugins on the event of a new page and tells nobody when they are through. A page that
 * is sent to a site before that shows the site what they would have hidden, so their ends are noted here.
 */
function watchPlugin(plugin: Plugin, finished: WeakMap<Page, Set<Plugin>>): void {
  const run = plugin.onPageCreated.bind(plugin);
  plugin.onPageCreated = async (page) => {
    try {
      await run(page);
    } catch (error) {
      // That of a page that has gone is of no interest; on any other, the plugin's absence must not pass unseen.
      if (!page.isClosed()) throw error;
    }
    finished.set(page, (finished.get(page) ?? new Set()).add(plugin));
  };
}

async function untilAllRan(
  page: Page,
  plugins: ReadonlySet<Plugin>,
  finished: WeakMap<Page, Set<Plugin>>,
): Promise<void> {
  const deadline = Date.now() + PLUGIN_LIMIT_MS;
  while ((finished.get(page)?.size ?? 0) < plugins.size) {
    if (page.isClosed() || Date.now() > deadline) throw new Error('the evasions did not run on the new page');
    await new Promise((resolve) => setTimeout(resolve, PLUGIN_POLL_MS));
  }
}
