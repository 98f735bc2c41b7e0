import type { Page } from 'puppeteer-core';
import { NavigationFailedError } from './errors.ts';
import { readBox } from './page-scripts.ts';
import type { SitePage } from './site-page.ts';
import { currentPlace, LOOK_TIMEOUT_MS, pause } from './site-page.ts';

/** Something that the site shows instead of the page that was being typed into. */
export class InterruptedTyping extends Error {
  constructor() {
    super('the page changed under the keys');
    this.name = 'InterruptedTyping';
  }
}

/** Times that a text is typed until the box holds it: keys are lost where a page is busy. */
const TYPING_ATTEMPTS = 3;

/**
 * Replaces what stands in a box by the text, key by key with a person's pauses, and presses Enter once the box holds it.
 * Before each click and key the page is looked at: a page that asks for a person gets neither.
 *
 * @param text without characters that are keys of their own: Enter, Tab.
 * @throws InterruptedTyping when the site shows something else meanwhile; NavigationFailedError when the box does not take it.
 */
export async function typeAndEnter(
  site: SitePage,
  selector: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await typeInto(site, selector, text, signal);
    const holds = await site.guarded.inspect({ timeoutMs: LOOK_TIMEOUT_MS, signal }, readBox, selector);
    if (holds === text) break;
    if (attempt === TYPING_ATTEMPTS)
      throw new NavigationFailedError(
        site.guarded.page.url(),
        `the search box holds ${JSON.stringify(holds)} after ${JSON.stringify(text)} was typed`,
      );
  }
  await act(site, signal, (page) => page.keyboard.press('Enter'));
}

async function typeInto(site: SitePage, selector: string, text: string, signal: AbortSignal): Promise<void> {
  // Three clicks mark the text that is there already.
  await act(site, signal, (page) => page.click(selector, { count: 3 }));
  await act(site, signal, (page) => page.keyboard.press('Backspace'));
  for (const { segment } of graphemes.segment(text))
    await act(site, signal, (page) => page.keyboard.type(segment));
}

/** One click or key, and the pause after it. */
async function act(site: SitePage, signal: AbortSignal, input: (page: Page) => Promise<void>): Promise<void> {
  if ((await currentPlace(site, signal)) !== 'page') throw new InterruptedTyping();
  const acted = await site.guarded.runUnlessLeft({ timeoutMs: LOOK_TIMEOUT_MS, signal }, async (page) => {
    await input(page);
    return true;
  });
  if (!acted) throw new InterruptedTyping();
  await pause(between(...site.profile.waits.keyDelayMs), signal);
}

/** An emoji of several code points comes out of an input method at once. */
const graphemes = new Intl.Segmenter('zh', { granularity: 'grapheme' });

const between = (least: number, most: number): number => least + Math.random() * (most - least);
