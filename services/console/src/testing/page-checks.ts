// What tests ask of a page. Expressions are text: this code is checked without the browser's types, and runs in Node.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from 'puppeteer-core';

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core')), 'utf8');
const POLL_MS = 20;
/** A guard against hanging: a busy machine takes seconds for what is milliseconds' work. */
const TIMEOUT_MS = 60_000;

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `never: ${condition}`);
    await sleep(POLL_MS);
  }
}

/** Until the expression is true in the page. */
export async function wait(page: Page, expression: string): Promise<void> {
  await page.waitForFunction(expression).catch((cause: unknown) => {
    throw new Error(`never in the page: ${expression}`, { cause });
  });
}

const ask = async <T>(page: Page, expression: string): Promise<T> => (await page.evaluate(expression)) as T;

/** Until the element's text matches: what a message brings is drawn a moment after what the one before it brought. */
export async function shows(page: Page, selector: string, pattern: RegExp): Promise<void> {
  const read = `document.querySelector(${JSON.stringify(selector)})?.innerText ?? 'nothing there'`;
  let text = '';
  await until(async () => {
    text = await ask<string>(page, read);
    return pattern.test(text);
  }).catch((cause: unknown) => {
    throw new Error(`${selector} never shows ${pattern}, but: ${text}`, { cause });
  });
}

/** Whether so many images are there, and each was decoded. */
export const imagesAreShown = (page: Page, selector: string, count = 1): Promise<void> =>
  wait(
    page,
    `(all => all.length === ${count} && all.every(one => one.complete && one.naturalWidth > 0))
     ([...document.querySelectorAll(${JSON.stringify(selector)})].map(one => (one.loading = 'eager', one)))`,
  );

/** axe-core's rules of WCAG 2 A and AA. */
export async function checkAccessibility(page: Page): Promise<void> {
  await page.evaluate(AXE);
  const violations = await ask<{ id: string; nodes: { html: string }[] }[]>(
    page,
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then(({ violations }) => violations)`,
  );
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
    [],
  );
}
