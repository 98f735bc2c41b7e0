import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BrowserDiedError } from './errors.ts';
import { clearStaleLock } from './profile-lock.ts';
import { logInByCookie, openTestSession, processesOf, waitFor } from './testing/browsers.ts';
import { type FixtureShop, startFixtureShop } from './testing/fixture-shop.ts';

const signal = new AbortController().signal;
let shop: FixtureShop;
before(async () => {
  shop = await startFixtureShop();
});
after(() => shop?.stop());

test('a browser killed in the middle of a search is a typed error, and a new one goes on with the folder', async () => {
  const session = await openTestSession(shop);
  try {
    const { site } = session;
    await logInByCookie(shop, site);
    await shop.setFaults({ fault: 'hang', query: '猫' });
    const search = site.search('猫', { wanted: 5, signal });
    const failed = assert.rejects(
      search,
      (error) => error instanceof BrowserDiedError && error.how === 'SIGKILL',
    );
    await waitFor('the search', async () =>
      (await shop.requests()).some(({ path }) => path.startsWith('/search')),
    );
    process.kill(site.processId, 'SIGKILL');
    await failed;
    assert.deepEqual(await site.closed, { wanted: false, how: 'SIGKILL' });
    // Every call after that says the same at once.
    await assert.rejects(site.search('狗', { wanted: 5, signal }), { name: 'BrowserDiedError' });
    await assert.rejects(site.exportCookies(), { name: 'BrowserDiedError' });
    await assert.rejects(site.screenshot(), { name: 'BrowserDiedError' });
    await site.close();

    assert.equal(readlinkSync(join(session.userDataDir, 'BrowserLock')), `${hostname()}-${site.processId}`);
    await shop.setFaults();
    const next = await session.reopen();
    await logInByCookie(shop, next);
    assert.equal((await next.search('猫', { wanted: 5, signal })).kind, 'results');
  } finally {
    await session.remove();
  }
});

test('close ends every process of the browser, once', async () => {
  const session = await openTestSession(shop);
  try {
    assert.ok(processesOf(session.userDataDir).length > 0);
    await Promise.all([session.site.close(), session.site.close()]);
    assert.deepEqual(await session.site.closed, { wanted: true, how: 'status 0' });
    await waitFor('no process', () => processesOf(session.userDataDir).length === 0);
  } finally {
    await session.remove();
  }
});

test('a browser that does not answer is ended by force', async () => {
  const session = await openTestSession(shop);
  try {
    process.kill(session.site.processId, 'SIGSTOP');
    await session.site.close();
    assert.deepEqual(await session.site.closed, { wanted: true, how: 'SIGKILL' });
  } finally {
    await session.remove();
  }
});

test('no browser outlives an owner that is killed', async () => {
  const script = fileURLToPath(new URL('./testing/hold-browser.ts', import.meta.url));
  const owner = spawn(process.execPath, [script, shop.origin], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(owner, 'exit').then(([code]) => {
    if (code !== null) throw new Error(`the owner ended with ${code}`);
  });
  const said = once(createInterface({ input: owner.stdout }), 'line');
  const [line] = (await Promise.race([said, ended])) as [string];
  const { processId, userDataDir } = JSON.parse(line) as { processId: number; userDataDir: string };
  try {
    assert.ok(processesOf(userDataDir).includes(processId));
    owner.kill('SIGKILL');
    await waitFor('no process of the browser', () => processesOf(userDataDir).length === 0);
  } finally {
    rmSync(userDataDir, { recursive: true, force: true });
  }
});

test('a folder in use is refused; a lock that nobody holds is taken away', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'profile-lock-test-'));
  const lock = join(folder, 'SingletonLock');
  try {
    await clearStaleLock(folder, signal);
    symlinkSync(`elsewhere-${process.pid}`, lock);
    await assert.rejects(clearStaleLock(folder, signal), /is locked by a browser on elsewhere/);
    rmSync(lock);
    // Alive, but no browser: process ids are given out again.
    symlinkSync(`${hostname()}-${process.pid}`, lock);
    await clearStaleLock(folder, signal);
    assert.throws(() => readlinkSync(lock), { code: 'ENOENT' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const session = await openTestSession(shop);
  try {
    await assert.rejects(session.reopen(), /is in use by the browser with process id \d+/);
    assert.equal(await session.site.probe(signal), 'logged-out', 'the first one goes on');
  } finally {
    await session.remove();
  }
});
