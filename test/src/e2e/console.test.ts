import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  findTestBrowser,
  imagesAreShown,
  launchTestBrowser,
  openPage,
  shows,
  wait,
} from '@online-cnclip/console/testing';

// The console's page over the real crawler, whose sessions are real browsers on the fixture shop.
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const browser = await findTestBrowser();
const CI = process.env['CI'] === 'true';
const skip = browser || CI ? false : 'there is no browser for the page or the crawler';
/** Two browsers start, on a machine that may be busy with other tests. */
const TIMEOUT_MS = 180_000;

describe('the console over the real crawler', { skip, timeout: TIMEOUT_MS }, () => {
  const children: ChildProcess[] = [];
  let folder: string;
  let shop: string;
  let origin: string;

  before(async () => {
    assert.ok(browser, 'CI needs a browser');
    folder = mkdtempSync(join(tmpdir(), 'console-e2e-'));
    shop = await launch('fixture-shop', []);
    const manners = [
      ...['--query-interval-ms', '0', '--query-jitter-ms', '0', '--image-interval-ms', '0'],
      // The rest that a challenge earns its site, before anybody tries again.
      ...['--backoff-ms', '100'],
    ];
    const crawler = await launch('crawler', [
      ...['--data-folder', folder, '--site-profile', 'fixture-shop', '--site-origin', `http://${shop}`],
      ...['--fixture-address', shop, '--session-wait-ms', '2000', ...manners],
    ]);
    origin = `http://${await launch('console', ['--crawler-address', crawler])}`;
  });
  after(async () => {
    for (const child of children.reverse()) {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  async function launch(name: string, flags: readonly string[]): Promise<string> {
    const entry = join(root, 'services', name, 'src/main.ts');
    const own = ['--listen-address', '127.0.0.1:0', '--metrics-address', 'off', '--drain-timeout-ms', '2000'];
    const child = spawn(process.execPath, [entry, ...own, ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    return JSON.parse(line).address;
  }

  async function control(method: string, call: string, body: unknown = {}): Promise<void> {
    const init = method === 'GET' ? { method } : { method, body: JSON.stringify(body) };
    const response = await fetch(`http://${shop}/control/${call}`, init);
    assert.equal(response.status, 200, call);
  }

  test('a log-in by QR code, a crawl, a challenge and its end', async () => {
    assert.ok(browser);
    const chromium = await launchTestBrowser(browser);
    try {
      const { page, complaints } = await openPage(chromium, `${origin}/#/sessions`);
      page.setDefaultTimeout(TIMEOUT_MS / 3);
      await page.waitForSelector('.empty:not([hidden])');
      await page.type('.panel input', 'e2e');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.qr');
      await imagesAreShown(page, '.qr');
      await control('POST', 'phone');
      await page.waitForSelector('[data-state=ready]');

      await control('PUT', 'faults', { rules: [{ fault: 'challenge', query: '雨伞' }] });
      await page.goto(`${origin}/#/crawl`);
      await page.waitForSelector('textarea');
      await page.type('textarea', '猫\n雨伞');
      await page.click('.panel .primary');
      await wait(page, `/1\\s*$/.test(document.querySelector('.jobs dl')?.children[1]?.textContent ?? '')`);
      await page.type('input[type=search]', '猫');
      await page.keyboard.press('Enter');
      await imagesAreShown(page, '.tile img');
      await shows(page, '.tile', new RegExp(`http://${shop}/`));

      await page.goto(`${origin}/#/sessions`);
      await page.waitForSelector('.challenge');
      await imagesAreShown(page, '.challenge');
      await control('PUT', 'faults', { rules: [] });
      await control('POST', 'answer');
      await page.click('.card .primary');
      await wait(page, `document.querySelector('[data-state=ready], [data-state=leased]')`);

      await page.click('.card .danger');
      await page.click('dialog[open] .danger');
      await page.waitForSelector('.empty:not([hidden])');
      assert.deepEqual(complaints, []);
    } finally {
      await chromium.close();
    }
  });
});
