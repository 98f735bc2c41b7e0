import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ChallengeError, LogInExpiredError, ProfileMismatchError } from './errors.ts';
import type { QrCode } from './site-browser.ts';
import { logInByCookie, openTestSession, type TestSession } from './testing/browsers.ts';
import { type FixtureShop, startFixtureShop } from './testing/fixture-shop.ts';

const signal = new AbortController().signal;
let shop: FixtureShop;
let session: TestSession;

before(async () => {
  shop = await startFixtureShop();
  session = await openTestSession(shop);
});
after(async () => {
  await session?.remove();
  await shop?.stop();
});

const newestCode = async (): Promise<string> => {
  const { codes } = await shop.control('GET', 'codes');
  return (codes as unknown as { url: string }[]).at(-1)?.url ?? '';
};
const pngSignature = '89504e470d0a1a0a';

test('a QR code is shown, scanned, confirmed, and the session outlives its browser', async () => {
  assert.equal(await session.site.probe(signal), 'logged-out');
  const said: string[] = [];
  const codes: QrCode[] = [];
  await session.site.logIn({
    onQrCode: async (code) => {
      codes.push(code);
      said.push('code');
      await fetch(await newestCode());
    },
    onScanned: async () => {
      said.push('scanned');
      await fetch(await newestCode());
    },
    signal,
  });
  assert.deepEqual(said, ['code', 'scanned']);
  assert.equal(
    Buffer.from(codes[0]?.png ?? [])
      .subarray(0, 8)
      .toString('hex'),
    pngSignature,
  );
  assert.ok((codes[0]?.png.length ?? 0) > 500, 'a picture of nothing');
  assert.equal(await session.site.probe(signal), 'ready');

  const cookies = await session.site.exportCookies();
  const ofSession = cookies.find(({ name }) => name === 'shop_session');
  assert.equal(ofSession?.expiresAt, undefined);
  await session.site.close();
  const again = await session.reopen();
  const kept = (await again.exportCookies()).map(({ name }) => name);
  assert.deepEqual(kept, ['shop_device'], 'the browser keeps the persistent cookie and that alone');
  assert.equal(await again.probe(signal), 'logged-out');
  await again.importCookies(cookies);
  assert.equal(await again.probe(signal), 'ready');
  // Who is logged in already needs no code.
  await again.logIn({ onQrCode: () => assert.fail('a code'), onScanned: () => undefined, signal });
  await again.close();
});

test('a code that is confirmed before it could be photographed logs in all the same', async () => {
  const eager = await openTestSession(shop);
  const phone = setInterval(() => void shop.control('POST', 'phone'), 5);
  try {
    await eager.site.logIn({ onQrCode: () => undefined, onScanned: () => undefined, signal });
    assert.equal(await eager.site.probe(signal), 'ready');
  } finally {
    clearInterval(phone);
    await eager.remove();
  }
});

test('codes that nobody scans are replaced three times, then the log-in ends', async () => {
  const patient = await openTestSession(shop, { waits: { qrLifetimeMs: 250 } });
  try {
    const codes: QrCode[] = [];
    const logIn = patient.site.logIn({
      onQrCode: (code) => codes.push(code),
      onScanned: () => assert.fail('nobody scanned'),
      signal,
    });
    await assert.rejects(
      logIn,
      (error: unknown) => error instanceof LogInExpiredError && error.attempts === 4,
    );
    assert.deepEqual(
      codes.map(({ attempt }) => attempt),
      [1, 2, 3, 4],
    );
    const pictures = new Set(codes.map(({ png }) => Buffer.from(png).toString('base64')));
    assert.equal(pictures.size, 4, 'each code is another one');
  } finally {
    await patient.remove();
  }
});

test('a code that the site says has expired is replaced at once', async () => {
  const hasty = await startFixtureShop('--code-lifetime-ms', '1200');
  const other = await openTestSession(hasty);
  try {
    const attempts: number[] = [];
    await other.site.logIn({
      onQrCode: async ({ attempt }) => {
        attempts.push(attempt);
        if (attempt === 2) await hasty.control('POST', 'phone');
      },
      onScanned: () => undefined,
      signal,
    });
    assert.deepEqual(attempts, [1, 2]);
  } finally {
    await other.remove();
    await hasty.stop();
  }
});

test('an abort ends a log-in that waits, and the browser goes on', async () => {
  const site = await session.reopen();
  await shop.control('POST', 'log-out', {});
  const controller = new AbortController();
  const logIn = site.logIn({
    onQrCode: () => controller.abort(),
    onScanned: () => undefined,
    signal: controller.signal,
  });
  await assert.rejects(logIn, { name: 'CancelledError' });
  assert.equal(await site.probe(signal), 'logged-out');
  await site.close();
});

test('a wrong selector of the log-in page is named', async () => {
  const wrong = await openTestSession(shop, {
    waits: { resultsMs: 200 },
    profile: (profile) => ({
      ...profile,
      selectors: { ...profile.selectors, qrCode: '.qr-of-another-year' },
    }),
  });
  try {
    const logIn = wrong.site.logIn({ onQrCode: () => undefined, onScanned: () => undefined, signal });
    await assert.rejects(
      logIn,
      (error: unknown) =>
        error instanceof ProfileMismatchError &&
        /selectors\.qrCode: finds nothing on http:\/\/127.*\/member\/login: "\.qr-of-another-year"/.test(
          error.message,
        ),
    );
  } finally {
    await wrong.remove();
  }
});

test('a challenge instead of the log-in page is left to a person', async () => {
  const challenged = await openTestSession(shop, {
    profile: (profile) => ({
      ...profile,
      addresses: { ...profile.addresses, logIn: `${profile.origin}/challenge` },
    }),
  });
  try {
    await logInByCookie(shop, challenged.site);
    const logIn = challenged.site.logIn({ onQrCode: () => undefined, onScanned: () => undefined, signal });
    await assert.rejects(
      logIn,
      (error: unknown) =>
        error instanceof ChallengeError &&
        Buffer.from(error.screenshotPng).subarray(0, 8).toString('hex') === pngSignature,
    );
    assert.deepEqual(await shop.inputs(), []);
  } finally {
    await challenged.remove();
  }
});
