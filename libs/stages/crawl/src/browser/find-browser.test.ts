import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkBrowser } from './check-browser.ts';
import { BrowserNotFoundError, BrowserStartError } from './errors.ts';
import { findBrowser } from './find-browser.ts';
import { findTestBrowser, logInByCookie, openTestSession, processesOf, waitFor } from './testing/browsers.ts';
import { startFixtureShop } from './testing/fixture-shop.ts';

const folder = mkdtempSync(join(tmpdir(), 'find-browser-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const options = { environment: process.env, unpackFolder: folder };
const signal = new AbortController().signal;

const script = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return path;
};

test('a configured path is taken and no other', async () => {
  const missing = join(folder, 'nothing');
  await assert.rejects(
    findBrowser({ ...options, executablePath: missing }),
    (error) => error instanceof BrowserNotFoundError && error.message === `${missing}: is no executable file`,
  );
  const notABrowser = findBrowser({ ...options, executablePath: script('echo', 'echo hello') });
  await assert.rejects(notABrowser, /is no Chromium: it says "hello"/);
  const broken = findBrowser({
    ...options,
    executablePath: script('broken', 'echo missing libnss3.so >&2; exit 127'),
  });
  await assert.rejects(
    broken,
    (error) => error instanceof BrowserStartError && /libnss3.*apt-get install chromium/s.test(error.message),
  );
});

test('without any browser the text says what to install', async () => {
  await assert.rejects(
    findBrowser({ ...options, sources: [] }),
    (error) =>
      error instanceof BrowserNotFoundError && /apt-get install chromium.*@sparticuz/.test(error.message),
  );
});

test('an executable that says a version and then does not start is a typed error', async () => {
  const executablePath = script('liar', '[ "$1" = --version ] && echo Chromium 150.0.1.2 && exit; exit 3');
  await assert.rejects(
    checkBrowser({ ...options, executablePath, signal }),
    (error) => error instanceof BrowserStartError && /liar: does not start/.test(error.message),
  );
});

test('a browser is checked by starting it', async () => {
  const found = await findTestBrowser();
  const checked = await checkBrowser({ ...options, executablePath: found.executablePath, signal });
  assert.match(checked.product, /^(Headless)?Chrome\/\d+\./);
});

test('the browser inside the npm package searches too, and leaves no process', async () => {
  const found = await findTestBrowser(['npm']);
  assert.equal(found.source, 'npm');
  const shop = await startFixtureShop();
  const session = await openTestSession(shop, { found });
  try {
    await logInByCookie(shop, session.site);
    assert.equal(await session.site.probe(signal), 'ready');
    const outcome = await session.site.search('红苹果', { wanted: 5, signal });
    assert.equal(outcome.kind, 'results');
    await session.site.close();
    await waitFor('no process', () => processesOf(session.userDataDir).length === 0);
  } finally {
    await session.remove();
    await shop.stop();
  }
});
