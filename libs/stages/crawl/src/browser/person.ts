import type { SitePage } from './site-page.ts';
import { currentPlace, LOOK_TIMEOUT_MS, pause } from './site-page.ts';

/** Something that the site shows instead of the page that was being typed into. */
export class InterruptedTyping extends Error {
  constructor() {
    super('the page changed under the keys');
    this.name = 'InterruptedTyping';
  }
}

/**
 * Replaces what stands in a box by the text, key by key with a person's pauses, and presses Enter.
 * Before each click and key the page is looked at: a page that asks for a person gets neither.
 *
 * @throws InterruptedTyping when the site shows something else meanwhile.
 */
export async function typeAndEnter(
  site: SitePage,
  selector: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const limits = { timeoutMs: LOOK_TIMEOUT_MS, signal };
  const { guarded, profile } = site;
  const act = async (input: Parameters<typeof guarded.run<void>>[1]): Promise<void> => {
    if ((await currentPlace(site, signal)) !== 'page') throw new InterruptedTyping();
    await guarded.run(limits, input);
    await pause(between(...profile.waits.keyDelayMs), signal);
  };
  // Three clicks mark the text that is there already.
  await act((page) => page.click(selector, { count: 3 }));
  await act((page) => page.keyboard.press('Backspace'));
  for (const { segment } of graphemes.segment(text)) await act((page) => page.keyboard.type(segment));
  await act((page) => page.keyboard.press('Enter'));
}

/** An emoji of several code points comes out of an input method at once. */
const graphemes = new Intl.Segmenter('zh', { granularity: 'grapheme' });

const between = (least: number, most: number): number => least + Math.random() * (most - least);
