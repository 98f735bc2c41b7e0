import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { decodeBase64, encodeBase64, isBase64 } from './base64.ts';

test('decodes both alphabets, padded', () => {
  for (const [text, hex] of [
    ['AAAA', '000000'],
    ['_-8=', 'ffef'],
    ['/+8=', 'ffef'],
    ['_w==', 'ff'],
    ['_x==', 'ff'], // Bits behind the last byte are not looked at, as in Python.
  ] as const) {
    assert.equal(decodeBase64(Buffer.from(text))?.toString('hex'), hex);
    assert.ok(isBase64(Buffer.from(text)));
  }
});

test('refuses what is not base64, or not padded', () => {
  for (const text of [
    '',
    'A',
    'AA',
    'AAA',
    'A===',
    '====',
    'AA=A',
    'A=AA',
    'AA A',
    'AAA\n',
    'AAA*',
    'AAAé',
    'AA==AAAA',
  ]) {
    assert.equal(decodeBase64(Buffer.from(text)), undefined, JSON.stringify(text));
    assert.ok(!isBase64(Buffer.from(text)), JSON.stringify(text));
  }
});

test('writes what it reads, for every length of padding and beyond the memory kept', () => {
  for (const length of [1, 2, 3, 4, 20_000, 70_001, 9_000_000]) {
    const bytes = randomBytes(length);
    const text = Buffer.from(encodeBase64(bytes));
    assert.equal(text.length % 4, 0);
    assert.ok(decodeBase64(text)?.equals(bytes));
    assert.ok(isBase64(text));
    text[text.length >> 1] = 0x2a;
    assert.ok(!isBase64(text));
  }
});
