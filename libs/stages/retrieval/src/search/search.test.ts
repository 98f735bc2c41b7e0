import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AbortedError,
  FailedPreconditionError,
  InvalidInputError,
  ResourceExhaustedError,
  UnavailableError,
} from '@online-cnclip/foundation';
import { compileFilter } from '../indexes/filter.ts';
import { openTestEngine } from '../testing.ts';
import type { Content } from './embed.ts';
import type { Encoded, QueryEncoder } from './query-encoder.ts';
import { searchContents } from './search.ts';
import { upsertContents } from './upsert.ts';

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

const engine = await openTestEngine({ maxItems: 100 });
let indexes = 0;
const createIndex = (fingerprint?: string) =>
  engine.create({ name: `index-${indexes++}`, dimension: 3, fingerprint });

async function filled() {
  const index = await createIndex();
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
  const results = await searchContents(index, queries, encoder, { topK: 1 });
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
  await searchContents(index, [vector(1, 0, 0)], encoder, { topK: 1 });
  assert.equal(encoder.calls, 2, 'vectors need no encoder');
  assert.deepEqual(await searchContents(index, [], encoder, { topK: 1 }), []);
});

test('items that are no good are refused alone', async () => {
  const index = await createIndex('model');
  const contents = [image('aaa'), image(''), vector(1), vector(5, 1, 0), vector(0, 0, 0), vector(1, 1, 1)];
  const items = contents.map((content, i) => ({
    id: BigInt(i),
    content,
    ...(i === 5 && { attributes: { 'not a name': 1n } }),
  }));
  const outcomes = await upsertContents(index, items, encoderOf(), { vectorFingerprint: 'model' });
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.ok ? outcome.value : outcome.error.message.slice(0, 47))),
    [
      0n,
      'is empty',
      'item 2: 1 numbers where 3 are needed',
      3n,
      'item 4: the vector is zero: it has no direction',
      'item 5: "not a name" cannot name an attribute: ',
    ],
  );
  assert.equal(await index.count(), 2);
});

test('of two items with one id the later counts', async () => {
  const index = await createIndex();
  const content = [vector(1, 0, 0), vector(0, 1, 0)];
  const items = content.map((content, i) => ({ id: 7n, content, attributes: { place: BigInt(i) } }));
  await upsertContents(index, items, encoderOf());
  assert.equal(await index.count(), 1);
  assert.deepEqual(await index.attributesOf(BigInt64Array.of(7n)), [{ place: 1n }]);
});

test('a filter leaves the others out', async () => {
  const index = await createIndex();
  const items = [1, 2, 3].map((n) => ({
    id: BigInt(n),
    content: vector(n, 1, 0),
    attributes: { odd: n % 2 === 1 },
  }));
  await upsertContents(index, items, encoderOf());
  const filter = compileFilter([{ kind: 'one-of', attribute: 'odd', values: [true] }]);
  const [result] = await searchContents(index, [text('aa')], encoderOf(), { topK: 5, filter });
  assert.deepEqual(result?.ok && [...result.value.ids].sort(), [1n, 3n]);
});

test('vectors of two models never lie in one index', async () => {
  const known = await createIndex('other');
  const unknown = await createIndex();
  const put = (index: typeof known, content: Content, vectorFingerprint?: string) =>
    upsertContents(index, [{ id: 1n, content }], encoderOf(), { vectorFingerprint });
  const refused = (work: Promise<unknown>, text: RegExp) =>
    assert.rejects(work, (error) => error instanceof FailedPreconditionError && text.test(error.message));
  await refused(
    put(known, image('a')),
    /^vectors of model model cannot be mixed with those of index index-\d+, which are of model other$/,
  );
  await refused(put(known, vector(1, 0, 0), 'model'), /model model .* model other$/);
  await refused(put(known, vector(1, 0, 0)), /of no known model .* model other$/);
  await refused(put(unknown, vector(1, 0, 0), 'model'), /model model .* no known model$/);
  await refused(put(unknown, image('a')), /model model .* no known model$/);
  await put(known, vector(1, 0, 0), 'other');
  await put(unknown, vector(1, 0, 0));
  assert.deepEqual([await known.count(), await unknown.count()], [1, 1]);
});

test('queries of another model are refused', async () => {
  const known = await createIndex('other');
  const search = (query: Content, vectorFingerprint?: string, index = known) =>
    searchContents(index, [query], encoderOf(), { topK: 1, vectorFingerprint });
  await assert.rejects(search(text('a')), /queries of model model cannot be compared .* of model other$/);
  await assert.rejects(search(vector(1, 0, 0), 'model'), FailedPreconditionError);
  await search(vector(1, 0, 0), 'other');
  await search(vector(1, 0, 0));
  await search(text('a'), undefined, await createIndex());
  const swapped = encoderOf({ texts: 'before', images: 'after' });
  const both = [text('a'), image('b')];
  await assert.rejects(searchContents(await filled(), both, swapped, { topK: 1 }), AbortedError);
});

test("the encoder's failure is the call's", async () => {
  const encoder = {
    ...encoderOf(),
    encodeTexts: async () => Promise.reject(new UnavailableError('is away')),
  };
  const search = async (topK: number) => searchContents(await filled(), [text('a')], encoder, { topK });
  await assert.rejects(search(1), UnavailableError);
  for (const topK of [0, -1, 1.5, 1_001])
    await assert.rejects(search(topK), /top_k: .* is not a whole number/);
});

test('a full index refuses the whole batch', async () => {
  const index = await createIndex();
  const items = Array.from({ length: 101 }, (_, i) => ({ id: BigInt(i), content: vector(i, 1, 0) }));
  await assert.rejects(upsertContents(index, items, encoderOf()), ResourceExhaustedError);
  assert.equal(await index.count(), 0);
  await upsertContents(index, items.slice(0, 100), encoderOf());
  await upsertContents(index, items.slice(0, 100), encoderOf());
  await assert.rejects(upsertContents(index, items.slice(100), encoderOf()), /1 more items do not fit/);
});
