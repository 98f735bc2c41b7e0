import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { loadSiteProfile, type SiteProfile } from '../site/site-profile.ts';
import { NavigationFailedError, NavigationTimeoutError, PageCrashedError } from './errors.ts';
import { candidatesOf } from './search.ts';
import type { SearchOutcome } from './site-browser.ts';
import { parseRetryAfter } from './site-page.ts';
import { logInByCookie, openTestSession, type TestSession } from './testing/browsers.ts';
import { type FixtureShop, startFixtureShop } from './testing/fixture-shop.ts';

const signal = new AbortController().signal;
const options = { wanted: 5, signal };
let shop: FixtureShop;
let session: TestSession;

before(async () => {
  shop = await startFixtureShop();
  session = await openTestSession(shop, { waits: { navigationMs: 4_000 } });
});
beforeEach(async () => {
  await shop.setFaults();
  await shop.control('DELETE', 'record');
  await shop.control('POST', 'answer', {});
  await logInByCookie(shop, session.site);
});
after(async () => {
  await session?.remove();
  await shop?.stop();
});

const urlsOf = (outcome: SearchOutcome): string[] => {
  assert.equal(outcome.kind, 'results');
  return outcome.kind === 'results' ? outcome.candidates.map(({ url }) => url) : [];
};

test('a query is typed, and its results read in order, advertisements left out', async () => {
  const outcome = await session.site.search('红苹果', options);
  const urls = urlsOf(outcome);
  assert.deepEqual(
    urls.slice(0, 5),
    [0, 1, 2, 3, 4].map((variation) => `${shop.origin}/img/1f34e/${variation}`),
  );
  assert.ok(!urls.some((url) => url.includes('advert')), 'an advertisement among the results');
  const paths = (await shop.requests()).map(({ path }) => path);
  assert.deepEqual(
    paths.filter((path) => path.startsWith('/search')),
    [`/search?q=${encodeURIComponent('红苹果')}`],
  );
});

test('the next query replaces the last one in the box, whatever is in it', async () => {
  await session.site.search('猫', options);
  const hard = '../"><b>\\0 𠮷👩‍🌾 100%&q=x#';
  const outcome = await session.site.search(`\n ${hard}\u0000\t`, options);
  assert.equal(outcome.kind, 'no-results');
  const paths = (await shop.requests()).map(({ path }) => path).filter((path) => path.startsWith('/search'));
  assert.equal(new URL(paths.at(-1) ?? '', shop.origin).searchParams.get('q'), hard);
  await assert.rejects(session.site.search(' \u0000\n', options), { name: 'InvalidInputError' });
});

test('429 and 503 come with the time that the site wants to be left alone', async () => {
  await shop.setFaults(
    { fault: 'rate-limited', query: '猫', retryAfterSeconds: 7 },
    { fault: 'unavailable', query: '狗', retryAfterSeconds: 90 },
  );
  assert.deepEqual(await session.site.search('猫', options), {
    kind: 'rate-limited',
    status: 429,
    retryAfterMs: 7_000,
  });
  assert.deepEqual(await session.site.search('狗', options), {
    kind: 'rate-limited',
    status: 503,
    retryAfterMs: 90_000,
  });
  assert.equal((await session.site.search('鱼', options)).kind, 'results');
});

test('a challenge is photographed and left alone, until a person has answered it', async () => {
  await shop.setFaults({ fault: 'challenge', query: '猫' }, { fault: 'challenge-overlay', query: '狗' });
  for (const query of ['猫', '鱼']) {
    const outcome = await session.site.search(query, options);
    assert.equal(outcome.kind, 'challenge', `${query}: the session stays challenged`);
    if (outcome.kind === 'challenge') assert.ok(outcome.screenshotPng.length > 1_000);
  }
  assert.equal((await session.site.screenshot()).length > 1_000, true);
  await shop.control('POST', 'answer', {});
  assert.equal((await session.site.search('鱼', options)).kind, 'results');
  assert.equal(
    (await session.site.search('狗', options)).kind,
    'challenge',
    'one that lies over the results',
  );
  assert.equal((await session.site.search('鱼', options)).kind, 'results');
  assert.deepEqual(await shop.inputs(), [], 'the program touched a page that asks for a person');
});

test('a log-in that expires half-way is told from an empty result', async () => {
  await shop.setFaults({ fault: 'logged-out', query: '猫' }, { fault: 'no-results', query: '狗' });
  assert.deepEqual(await session.site.search('狗', options), { kind: 'no-results' });
  assert.deepEqual(await session.site.search('猫', options), { kind: 'logged-out' });
  assert.equal(await session.site.probe(signal), 'logged-out');
  await logInByCookie(shop, session.site);
  assert.equal((await session.site.search('猫', options)).kind, 'logged-out', 'the fault goes on');
});

test('a page that never comes, fails or crashes is a typed error, and the session goes on', async () => {
  await shop.setFaults(
    { fault: 'hang', query: '猫' },
    { fault: 'crash', query: '狗' },
    { fault: 'reset', query: '鱼' },
    { fault: 'server-error', query: '马' },
  );
  await assert.rejects(
    session.site.search('猫', options),
    (error) => error instanceof NavigationTimeoutError,
  );
  await assert.rejects(session.site.search('狗', options), (error) => error instanceof PageCrashedError);
  assert.equal((await session.site.search('羊', options)).kind, 'results');
  await assert.rejects(
    session.site.search('鱼', options),
    (error) =>
      error instanceof NavigationFailedError &&
      /search.*ERR_(CONNECTION_RESET|EMPTY_RESPONSE)/.test(error.message),
  );
  await assert.rejects(
    session.site.search('马', options),
    (error) => error instanceof NavigationFailedError && /the site answered 500/.test(error.message),
  );
  assert.equal((await session.site.search('羊', options)).kind, 'results');
});

test('an abort ends a search that hangs', async () => {
  await shop.setFaults({ fault: 'hang', query: '猫' });
  const search = session.site.search('猫', { wanted: 5, signal: AbortSignal.timeout(1_000) });
  await assert.rejects(search, { name: 'DeadlineExceededError' });
  assert.equal((await session.site.search('狗', options)).kind, 'results');
});

test('a page that never ends is read as far as is wanted, and never further than the limits', async () => {
  await shop.setFaults({ fault: 'endless-scroll' });
  const urls = urlsOf(await session.site.search('猫', { wanted: 30, signal }));
  assert.ok(urls.length >= 30 && urls.length < 60, `${urls.length} candidates`);
  const all = urlsOf(await session.site.search('猫', { wanted: 100_000, signal }));
  assert.ok(all.length > urls.length && all.length <= 200, `${all.length} candidates`);
});

test('only advertisements are no result; twice the same address is there once', async () => {
  await shop.setFaults(
    { fault: 'only-promoted', query: '猫' },
    { fault: 'unresolvable-images', query: '狗' },
  );
  assert.deepEqual(await session.site.search('猫', options), { kind: 'no-results' });
  assert.match(
    urlsOf(await session.site.search('狗', options))[0] ?? '',
    /^http:\/\/img\.fixture-shop\.invalid\//,
  );
});

const cases: readonly (readonly [keyof SiteProfile['selectors'], string, string])[] = [
  ['searchBox', '#query', '/'],
  ['resultList', '.list-of-another-year', '/search?q='],
  ['item', '.m-itemlist .cells > div', '/search?q='],
  ['image', '.pic-box .photo img', '/search?q='],
  ['imageAttribute', 'data-lazy', '/search?q='],
];
for (const [name, wrong, path] of cases)
  test(`a profile with a wrong ${name} is told so by name`, async () => {
    const other = await openTestSession(shop, {
      waits: { resultsMs: 150 },
      profile: (profile) => ({
        ...profile,
        selectors: {
          ...profile.selectors,
          [name]: wrong,
          ...(name === 'resultList' ? { item: '.cells' } : {}),
        },
      }),
    });
    try {
      await logInByCookie(shop, other.site);
      const outcome = await other.site.search('猫', options);
      assert.equal(outcome.kind, 'profile-mismatch');
      const detail = outcome.kind === 'profile-mismatch' ? outcome.detail : '';
      assert.ok(
        detail.startsWith(`selectors.${name}: finds nothing on ${shop.origin}${path}`) &&
          detail.includes(wrong),
        detail,
      );
    } finally {
      await other.remove();
    }
  });

test('addresses lose nothing and gain their scheme; what is no picture on the web is left out', () => {
  const page = { noResults: false, list: true, items: 6, withoutImage: 0 };
  const sources = [
    '//img.example/1.jpg',
    null,
    '/2.jpg',
    'data:image/png;base64,AAAA',
    '//img.example/1.jpg',
    '',
  ];
  assert.deepEqual(candidatesOf({ ...page, sources }, 'https://shop.example/search?q=1'), [
    { url: 'https://img.example/1.jpg', rank: 0 },
    { url: 'https://shop.example/2.jpg', rank: 2 },
  ]);
});

test('Retry-After is read as seconds or as a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(parseRetryAfter('120', now), 120_000);
  assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now), 60_000);
  assert.equal(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now), 0);
  assert.equal(parseRetryAfter('soon', now), undefined);
  assert.equal(parseRetryAfter(undefined, now), undefined);
});

test('every profile that comes with the program has selectors that the browser takes', async () => {
  const { selectors } = loadSiteProfile('taobao-2022');
  // Its selectors alone: the origin stays the fixture's, and the browser reaches no other host.
  const other = await openTestSession(shop, { profile: (profile) => ({ ...profile, selectors }) });
  await other.remove();
  const refused = openTestSession(shop, {
    profile: (profile) => ({ ...profile, selectors: { ...selectors, item: 'div:has-nothing-known(' } }),
  });
  await assert.rejects(
    refused,
    /site profile fixture-shop: selectors\.item: the browser takes "div:has-nothing/,
  );
});
