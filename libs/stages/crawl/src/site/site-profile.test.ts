import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadSiteProfile, parseSiteProfile, siteProfileNames } from './site-profile.ts';

const fixture = readFileSync(new URL('../../profiles/fixture-shop.yaml', import.meta.url), 'utf8');

test('the profiles that come with the program can be read, the published one marked as unverified', () => {
  assert.deepEqual(siteProfileNames(), ['fixture-shop', 'taobao-2022']);
  const published = loadSiteProfile('taobao-2022');
  assert.equal(published.verified, 'as of 2022, unverified');
  assert.equal(published.addresses.home, 'https://www.taobao.com/');
  assert.equal(published.domain, 'taobao.com');
  assert.equal(published.selectors.item, '.m-itemlist .items > div');
});

test('addresses start from the origin, which can be given', () => {
  const profile = loadSiteProfile('fixture-shop', { origin: 'http://127.0.0.1:9', waits: { pollMs: 7 } });
  assert.equal(profile.addresses.logIn, 'http://127.0.0.1:9/member/login');
  assert.deepEqual(profile.addresses.challengePages, ['http://127.0.0.1:9/challenge']);
  assert.equal(profile.domain, '127.0.0.1:9');
  assert.equal(profile.waits.pollMs, 7);
  assert.equal(profile.waits.resultsMs, 5_000);
});

const wrong: readonly (readonly [string, RegExp, RegExp])[] = [
  [
    'a selector that is none',
    /item: \.m-itemlist.*/,
    /selectors\.item: "\.m-itemlist \[" is not a CSS selector/,
  ],
  ['an empty selector', /noResults: .*/, /selectors\.noResults: "" is not a CSS selector/],
  ['a format of another version', /^version: 1/m, /version: /],
  ['an unknown key', /^domain/m, /Unrecognized key/],
  ['an origin that is no address', /^origin: .*/m, /origin: /],
  ['a wait that is no number', /navigationMs: .*/, /waits\.navigationMs: /],
];
const replacements = [
  'item: ".m-itemlist ["',
  'noResults: ""',
  'version: 2',
  '',
  'origin: shop',
  'navigationMs: soon',
];
for (const [position, [what, pattern, message]] of wrong.entries())
  test(`${what} is named with its place`, () => {
    const text =
      what === 'an unknown key'
        ? `${fixture}\nselector: 1\n`
        : fixture.replace(pattern, replacements[position] ?? '');
    assert.notEqual(text, fixture);
    assert.throws(
      () => parseSiteProfile(text, 'shop.yaml'),
      (error: Error) =>
        error.name === 'InvalidInputError' &&
        error.message.startsWith('shop.yaml: ') &&
        message.test(error.message),
    );
  });

test('a file that is missing or no YAML is named', () => {
  assert.throws(
    () => loadSiteProfile('/nowhere.yaml'),
    /nowhere\.yaml: is no site profile; known: fixture-shop, taobao-2022/,
  );
  assert.throws(() => parseSiteProfile('a: [', 'shop.yaml'), /shop\.yaml: is not YAML/);
  assert.throws(() => parseSiteProfile('', 'shop.yaml'), /shop\.yaml: site profile: /);
});
