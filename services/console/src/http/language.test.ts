import assert from 'node:assert/strict';
import { test } from 'node:test';
import { preferredLanguage } from './language.ts';

test('the better of two languages, English when neither is wanted', () => {
  for (const [header, expected] of [
    [undefined, 'en'],
    ['', 'en'],
    ['fr', 'en'],
    ['zh', 'zh-CN'],
    ['zh-TW,zh;q=0.9,en;q=0.8', 'zh-CN'],
    ['en;q=0.2, zh-Hans;q=0.7', 'zh-CN'],
    ['en-GB, zh;q=0.7', 'en'],
    ['zh;q=0, en;q=0', 'en'],
    ['fr, zh ; q=0.1', 'zh-CN'],
    ['zh;q=many', 'en'],
  ] as const)
    assert.equal(preferredLanguage(header), expected, header);
});
