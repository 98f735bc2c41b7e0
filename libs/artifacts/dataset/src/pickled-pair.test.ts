import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import { MAX_TEXT_BYTES } from './limits.ts';
import { LmdbReader } from './lmdb/lmdb-reader.ts';
import { decodePair, encodePair } from './pickled-pair.ts';
import { GOLDEN_LMDB, goldenPairs, randomBelow } from './testing/goldens.ts';
import { PICKLES } from './testing/pickles.ts';

test('reads what Python pickles with every protocol from 2 to 5', () => {
  for (const { pair, pickles } of PICKLES)
    for (const [protocol, hex] of Object.entries(pickles)) {
      const { imageId, textId, text } = decodePair(Buffer.from(hex, 'hex'));
      assert.deepEqual([imageId, textId, text], pair, `protocol ${protocol}`);
    }
});

test("writes Python's default pickle to the byte", () => {
  for (const { pair, pickles } of PICKLES) {
    const [imageId, textId, text] = pair;
    assert.equal(encodePair({ imageId, textId, text }).toString('hex'), pickles['4'], pair.join());
  }
});

test('reads and rewrites the golden LMDB', async () => {
  const lmdb = new LmdbReader(join(GOLDEN_LMDB, 'valid/pairs'));
  for (const [i, [imageId, textId, text]] of (await goldenPairs()).entries()) {
    const value = lmdb.get(Buffer.from(String(i)));
    assert.ok(value);
    const pair = decodePair(value);
    assert.deepEqual(pair, { imageId: String(imageId), textId: String(textId), text });
    assert.deepEqual(encodePair(pair), value);
  }
  lmdb.close();
});

test('refuses to write what is no pair', () => {
  const pair = { imageId: '1', textId: '2', text: 'a' };
  for (const broken of [
    { ...pair, imageId: '1.5' },
    { ...pair, imageId: '007' },
    { ...pair, textId: '9223372036854775808' },
    { ...pair, text: '\ud800' },
    { ...pair, text: 'x'.repeat(MAX_TEXT_BYTES + 1) },
  ])
    assert.throws(() => encodePair(broken), InvalidInputError);
  const longest = { ...pair, text: 'x'.repeat(MAX_TEXT_BYTES) };
  assert.deepEqual(decodePair(encodePair(longest)), longest);
});

test('refuses every other pickle', () => {
  const broken: Record<string, string> = {
    'a call of os.system': '8004951d000000000000008c05706f736978948c0673797374656d9493948c02696494859452942e',
    'a list': '80045d942e',
    'a tuple of two': '80044b014b0286942e',
    'an int as the text': '80044b014b024b0387942e',
    'a bool as an id': '8004884b028c016194879 42e'.replace(' ', ''),
    'protocol 0': '284931 0a'.replace(' ', ''),
    'protocol 6': '80064b014b028c0161879 42e'.replace(' ', ''),
    'bytes after its end': '80044b014b028c01619487942e2e',
    'an id of 72 bits': '80048a090000000000000000014b028c016187942e',
    'text that is not UTF-8': '80044b014b028c01ff87942e',
    'text that is longer than the pickle': '80044b014b0258ffffffff61',
    'text of 2^64 bytes': '80044b014b028dffffffffffffffff61',
    nothing: '',
  };
  for (const [name, hex] of Object.entries(broken))
    assert.throws(() => decodePair(Buffer.from(hex, 'hex')), DataLossError, name);
});

test('answers damaged pickles with a pair or a DataLossError', () => {
  const below = randomBelow(1);
  let refused = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const { pickles } = PICKLES[below(PICKLES.length)] as (typeof PICKLES)[number];
    let bytes = Buffer.from(pickles[String(2 + below(4))] as string, 'hex');
    for (let i = below(4); i >= 0; i -= 1) bytes[below(bytes.length)] = below(256);
    if (below(4) === 0) bytes = bytes.subarray(0, below(bytes.length));
    try {
      const { imageId, textId, text } = decodePair(bytes);
      assert.match(`${imageId} ${textId}`, /^-?\d+ -?\d+$/);
      assert.equal(typeof text, 'string');
    } catch (error) {
      assert.ok(error instanceof DataLossError, String(error));
      refused += 1;
    }
  }
  assert.ok(refused > 5000);
});
