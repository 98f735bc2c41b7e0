import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIndex } from '@online-cnclip/embedding-index';
import {
  AbortedError,
  FailedPreconditionError,
  InvalidInputError,
  UnavailableError,
} from '@online-cnclip/foundation';
import type { Content } from './embed.ts';
import type { Encoded, QueryEncoder } from './query-encoder.ts';
import { searchContents, upsertContents } from './search.ts';

const vectorOf = (input: string): Float32Array => Float32Array.of(input.length, 1, 0);
const refusal = new InvalidInputError('is empty');

/** Embeds an input by its length; empty ones are refused. */
function encoderOf(fingerprints: { texts?: string; images?: string } = {}): QueryEncoder & { calls: number } {
  const encode = (inputs: string[], fingerprint = 'model'): Encoded => {
    encoder.calls++;
    return {
      fingerprint,
      vectors: inputs.map((input) =>
        input === '' ? { ok: false, error: refusal } : { ok: true, value: vectorOf(input) },
      ),
    };
  };
  const encoder = {
    calls: 0,
    describeModel: async () => ({ dimension: 3, fingerprint: 'model' }),
    encodeTexts: async (texts: readonly string[]) => encode([...texts], fingerprints.texts),
    encodeImages: async (images: readonly Uint8Array[]) =>
      encode(
        images.map((image) => Buffer.from(image).toString()),
        fingerprints.images,
      ),
  };
  return encoder;
}
const text = (value: string): Content => ({ kind: 'text', text: value });
const image = (value: string): Content => ({ kind: 'image', image: Buffer.from(value) });
const vector = (...values: number[]): Content => ({ kind: 'vector', vector: Float32Array.from(values) });

async function filled() {
  const index = createIndex({ dimension: 3 });
  await upsertContents(
    index,
    [1, 2, 4, 8].map((n) => ({ id: BigInt(n), content: vector(n, 1, 0) })),
    encoderOf(),
  );
  return index;
}

test('texts, images and vectors beside bad ones', async () => {
  const index = await filled();
  const encoder = encoderOf();
  const bad: Content = { kind: 'unusable', error: new InvalidInputError('has no query') };
  const queries = [
    text('aa'),
    image(''),
    vector(4, 1, 0),
    bad,
    image('bbbb'),
    text(''),
    vector(1, 2),
    vector(0, 0, 0),
    text('c'),
  ];
  const results = await searchContents(index, queries, 1, encoder);
  const shown = results.map((result) => (result.ok ? result.value.ids[0] : result.error.message));
  assert.deepEqual(shown, [
    2n,
    'is empty',
    4n,
    'has no query',
    4n,
    'is empty',
    'queries[6]: 2 numbers where 3 are needed',
    'queries[7]: the vector is zero: it has no direction',
    1n,
  ]);
  assert.equal(encoder.calls, 2, 'one batch of texts, one of images');
  await searchContents(index, [vector(1, 0, 0)], 1, encoder);
  assert.equal(encoder.calls, 2, 'vectors need no encoder');
  assert.deepEqual(await searchContents(index, [], 1, encoder), []);
});

test('items that cannot be embedded are refused alone', async () => {
  const index = createIndex({ dimension: 3 });
  const items = [image('aaa'), image(''), vector(1), vector(5, 1, 0)].map((content, i) => ({
    id: BigInt(i),
    content,
  }));
  const outcomes = await upsertContents(index, items, encoderOf());
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.ok ? outcome.value : outcome.error.message)),
    [0n, 'is empty', 'item 2: 1 numbers where 3 are needed', 3n],
  );
  assert.deepEqual([index.size, index.fingerprint], [2, 'model']);
});

test("another model's vectors are kept apart", async () => {
  const index = createIndex({ dimension: 3, fingerprint: 'other' });
  await assert.rejects(searchContents(index, [text('a')], 1, encoderOf()), FailedPreconditionError);
  await assert.rejects(
    upsertContents(index, [{ id: 1n, content: image('a') }], encoderOf()),
    FailedPreconditionError,
  );
  const swapped = encoderOf({ texts: 'before', images: 'after' });
  await assert.rejects(searchContents(await filled(), [text('a'), image('b')], 1, swapped), AbortedError);
});

test("the encoder's failure is the call's", async () => {
  const encoder = {
    ...encoderOf(),
    encodeTexts: async () => Promise.reject(new UnavailableError('is away')),
  };
  await assert.rejects(searchContents(await filled(), [text('a')], 1, encoder), UnavailableError);
  await assert.rejects(searchContents(await filled(), [text('a')], 0, encoder), /top_k: 0 is not/);
});
