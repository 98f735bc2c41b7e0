import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findTestBrowser, launchTestBrowser, openPage } from './testing/browser.ts';
import { checkAccessibility, wait } from './testing/page-checks.ts';
import { startTestConsole } from './testing/test-console.ts';

const TOKEN = 'a-token-that-nobody-guesses';

const found = await findTestBrowser();
const CI = process.env['CI'] === 'true';
const skip =
  found || CI
    ? false
    : 'there is no Chromium, Chrome or @sparticuz/chromium (CHROMIUM_PATH names one elsewhere)';

test('a person logs in by the page, and is asked again when the session is gone', {
  skip,
}, async (context) => {
  assert.ok(found, 'CI needs a Chromium');
  const pictures = mkdtempSync(join(tmpdir(), 'console-pictures-'));
  const console_ = await startTestConsole(pictures, TOKEN);
  const browser = await launchTestBrowser(found);
  context.after(async () => {
    await browser.close();
    await console_.close();
    rmSync(pictures, { recursive: true, force: true });
  });
  const { page, capture } = await openPage(browser, console_.origin);
  await wait(page, `location.pathname === '/log-in.html'`);
  await checkAccessibility(page);
  await capture('log-in');
  await page.type('input[name=token]', 'wrong');
  await page.keyboard.press('Enter');
  await wait(page, `/is not the token/.test(document.querySelector('output').value)`);
  await page.type('input[name=token]', TOKEN);
  await page.keyboard.press('Enter');
  await wait(page, `location.pathname === '/' && document.querySelector('nav') !== null`);
  assert.equal(await page.evaluate('document.cookie'), '', 'no script sees the session');

  for (const one of browser.browserContexts()) await one.deleteCookie(...(await one.cookies()));
  await page.reload();
  await wait(page, `location.pathname === '/log-in.html'`);
});
