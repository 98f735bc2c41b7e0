import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { createRankerClient } from '@online-cnclip/client';
import { MAX_BATCH_ITEMS, toVector } from '@online-cnclip/contracts';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import {
  type Condition,
  EnsembleRequest,
  EvaluateRequest,
  type Item,
  type Query,
  RankerServiceService,
  type UpsertItemsRequest,
} from '@online-cnclip/contracts/ranker/v1';
import { ExactEngine, normalize } from '@online-cnclip/embedding-index';
import {
  AlreadyExistsError,
  CancelledError,
  DataFolder,
  DataLossError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  ResourceExhaustedError,
  silentLogger,
  UnavailableError,
} from '@online-cnclip/foundation';
import { type Encoded, IndexCatalog, type QueryEncoder } from '@online-cnclip/retrieval';
import { createService, implement } from '@online-cnclip/service-kit';
import { createHandlers } from './handlers.ts';

const golden = fileURLToPath(new URL('../../../test/goldens/ranking/', import.meta.url));
const root = await mkdtemp(join(tmpdir(), 'ranker-'));
after(() => rm(root, { recursive: true }));

/** Embeds an input by its length, and refuses empty ones. */
class FakeEncoder implements QueryEncoder {
  fingerprint = 'model-a';
  failure: Error | undefined;

  describeModel = async () => ({ dimension: 3, fingerprint: this.fingerprint });
  encodeTexts = async (texts: readonly string[]) => this.#encode(texts.map((text) => text.length));
  encodeImages = async (images: readonly Uint8Array[]) => this.#encode(images.map((image) => image.length));

  #encode(lengths: number[]): Encoded {
    if (this.failure) throw this.failure;
    const vectors = lengths.map((length) =>
      length === 0
        ? ({ ok: false, error: new InvalidInputError('is empty') } as const)
        : ({ ok: true, value: Float32Array.of(length, 1, 0) } as const),
    );
    return { fingerprint: this.fingerprint, vectors };
  }
}

let folders = 0;
async function serve(context: TestContext) {
  const folder = new DataFolder(root);
  const indexFolder = join(root, `indexes-${folders++}`);
  const engine = await ExactEngine.open({ folder: indexFolder, maxItems: 10_000, threads: 1 });
  const catalog = new IndexCatalog(engine);
  const encoder = new FakeEncoder();
  const service = createService({
    name: 'ranker',
    implementations: [implement(RankerServiceService, createHandlers({ catalog, encoder, folder }))],
    logger: silentLogger,
    drainTimeoutMs: 1_000,
  });
  const client = createRankerClient(await service.listen('127.0.0.1:0'));
  context.after(async () => {
    client.close();
    await service.close();
    await engine.close();
  });
  return { client, encoder, catalog };
}

const vector = (...values: number[]) => ({
  $case: 'vector' as const,
  value: toVector(Float32Array.from(values)),
});
const image = (length: number) => ({ $case: 'image' as const, value: Buffer.alloc(length) });
const text = (value: string): Query => ({ query: { $case: 'text', value } });
const item = (id: number, content: Item['content'], attributes: Item['attributes'] = {}): Item => ({
  id: BigInt(id),
  content,
  attributes,
});
const upsert = (index: string, ...items: Item[]): UpsertItemsRequest => ({
  index,
  items,
  modelFingerprint: 'model-a',
});
/** Of vectors whose model is not known. */
const unmarked = (index: string, ...items: Item[]): UpsertItemsRequest => ({
  ...upsert(index, ...items),
  modelFingerprint: '',
});
/** Of the fake encoder's model, unless another one is said. */
const spec = (name: string, dimension: number, modelFingerprint = dimension === 3 ? 'model-a' : '') => ({
  name,
  dimension,
  modelFingerprint,
});
/** A search without filter, by queries that need no fingerprint. */
const plain = { filter: [], modelFingerprint: '' };

test('an index from its making to its end', async (context) => {
  const { client } = await serve(context);
  const created = await client.createIndex(spec('shop', 0));
  assert.equal(created.index?.dimension, 3, "the encoder's dimension");
  assert.ok(Math.abs((created.index?.createTime?.getTime() ?? 0) - Date.now()) < 60_000);
  await assert.rejects(client.createIndex(spec('shop', 3)), AlreadyExistsError);
  await assert.rejects(client.createIndex(spec('../shop', 3)), InvalidInputError);
  await assert.rejects(client.createIndex(spec('negative', -1)), InvalidInputError);
  await client.createIndex(spec('another', 5));
  const { indexes } = await client.listIndexes({});
  assert.deepEqual(
    indexes.map(({ name, dimension }) => [name, dimension]),
    [
      ['another', 5],
      ['shop', 3],
    ],
  );
  const large = 2n ** 62n;
  const added = await client.upsertItems([
    upsert('shop', item(1, vector(1, 1, 0)), item(2, image(2))),
    upsert('', item(3, image(3)), { id: large, content: vector(0, 0, 9), attributes: {} }),
  ]);
  assert.equal(added.upserted, 4n);
  assert.deepEqual(added.index, (await client.getIndex({ name: 'shop' })).index);
  assert.deepEqual([added.index?.items, added.index?.modelFingerprint], [4n, 'model-a']);
  const removed = await client.deleteItems({ index: 'shop', ids: [1n, 77n] });
  assert.equal(removed.deleted, 1n);
  assert.deepEqual(
    removed.results.map(({ id, status }) => [id, status?.code]),
    [
      [1n, status.OK],
      [77n, status.NOT_FOUND],
    ],
  );
  const { results } = await client.search({
    ...plain,
    index: 'shop',
    queries: [{ query: vector(0, 0, 1) }],
    topK: 1,
  });
  assert.deepEqual([results[0]?.ids, results[0]?.scores], [[large], [1]]);
  assert.equal((await client.dropIndex({ name: 'shop' })).items, 3n);
  await assert.rejects(client.getIndex({ name: 'shop' }), NotFoundError);
  await assert.rejects(client.search({ ...plain, index: 'shop', queries: [], topK: 1 }), NotFoundError);
});

test('one bad query never fails its neighbours', async (context) => {
  const { client } = await serve(context);
  await client.createIndex(spec('shop', 3));
  await client.upsertItems([upsert('shop', ...[1, 2, 4, 8].map((n) => item(n, vector(n, 1, 0))))]);
  const both = { values: [1], littleEndian: Buffer.alloc(4) };
  const bytes = toVector(Float32Array.of(4, 1, 0), VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN);
  const { results } = await client.search({
    ...plain,
    index: 'shop',
    topK: 2,
    queries: [
      text('猫猫'),
      text(''),
      { query: image(8) },
      { query: undefined },
      { query: vector(1, 2) },
      { query: vector(0, 0, 0) },
      { query: vector(Number.NaN, 0, 0) },
      { query: { $case: 'vector', value: both } },
      { query: { $case: 'vector', value: bytes } },
    ],
  });
  assert.deepEqual(
    results.map(({ status }) => status?.code),
    [0, 3, 0, 3, 3, 3, 3, 3, 0],
  );
  assert.deepEqual(
    results.map(({ ids }) => ids[0]),
    [2n, undefined, 8n, ...Array(5).fill(undefined), 4n],
  );
  assert.match(results[4]?.status?.message ?? '', /queries\[4\]: 2 numbers where 3 are needed/);
  const { scores = [] } = results[0] ?? {};
  assert.ok(Math.abs((scores[0] as number) - 1) < 1e-6 && (scores[0] as number) > (scores[1] as number));
  assert.deepEqual(
    (await client.search({ ...plain, index: 'shop', queries: [text('a')], topK: 0 })).results[0]?.ids.length,
    4,
  );
});

test('one bad item never fails its neighbours', async (context) => {
  const { client } = await serve(context);
  await client.createIndex(spec('shop', 3));
  const answer = await client.upsertItems([
    upsert(
      'shop',
      item(1, image(0)),
      item(2, image(2)),
      item(3, undefined),
      item(4, vector(1)),
      item(5, vector(5, 1, 0)),
    ),
  ]);
  assert.deepEqual([answer.upserted, answer.refused], [2n, 3n]);
  assert.deepEqual(
    answer.failures.map(({ id, status }) => [id, status?.code]),
    [
      [1n, 3],
      [3n, 3],
      [4n, 3],
    ],
  );
});

test('what came before a broken stream stays', async (context) => {
  const { client, encoder } = await serve(context);
  await client.createIndex(spec('shop', 3));
  await client.createIndex(spec('other', 3));
  await assert.rejects(
    client.upsertItems([upsert('shop', item(1, vector(1, 0, 0))), upsert('other', item(2, vector(1, 0, 0)))]),
    /"other" is not shop/,
  );
  await assert.rejects(client.upsertItems([]), InvalidInputError);
  await assert.rejects(client.upsertItems([upsert('', item(1, vector(1, 0, 0)))]), InvalidInputError);
  await assert.rejects(client.upsertItems([upsert('none')]), NotFoundError);
  await client.upsertItems([upsert('shop', item(2, image(2)))]);
  encoder.fingerprint = 'model-b';
  await assert.rejects(client.upsertItems([upsert('shop', item(3, image(3)))]), (error) => {
    assert.ok(error instanceof FailedPreconditionError);
    assert.match(error.message, /model-b.*model-a/);
    return true;
  });
  await assert.rejects(
    client.search({ ...plain, index: 'shop', queries: [text('a')], topK: 1 }),
    FailedPreconditionError,
  );
  encoder.failure = new UnavailableError('the encoder is away');
  await assert.rejects(
    client.search({ ...plain, index: 'shop', queries: [text('a')], topK: 1 }),
    UnavailableError,
  );
  assert.equal(
    (await client.search({ ...plain, index: 'shop', queries: [{ query: vector(1, 0, 0) }], topK: 1 })).results
      .length,
    1,
  );
  assert.equal((await client.getIndex({ name: 'shop' })).index?.items, 2n);
});

test('limits', async (context) => {
  const { client } = await serve(context);
  await client.createIndex(spec('shop', 1));
  const many = Array.from({ length: MAX_BATCH_ITEMS + 1 }, (_, i) => i);
  await assert.rejects(
    client.search({ ...plain, index: 'shop', queries: many.map(() => text('a')), topK: 1 }),
    ResourceExhaustedError,
  );
  await assert.rejects(
    client.upsertItems([unmarked('shop', ...many.map((id) => item(id, vector(1))))]),
    ResourceExhaustedError,
  );
  await assert.rejects(client.deleteItems({ index: 'shop', ids: many.map(BigInt) }), ResourceExhaustedError);
  for (const topK of [-1, 1001])
    await assert.rejects(
      client.search({ ...plain, index: 'shop', queries: [text('a')], topK }),
      /top_k: -?\d+ is not a whole number/,
    );
  const full = Array.from({ length: 10 }, (_, n) =>
    unmarked('shop', ...many.slice(1).map((id) => item(n * 2_000 + id, vector(1)))),
  );
  await assert.rejects(client.upsertItems(full), ResourceExhaustedError);
  assert.equal((await client.getIndex({ name: 'shop' })).index?.items, 9n * 1024n);
});

test('a search that is cancelled stops, and others are answered meanwhile', async (context) => {
  const { client, catalog } = await serve(context);
  const index = await catalog.create({ name: 'large', dimension: 4096 });
  const random = () => normalize(Float32Array.from({ length: 4096 }, Math.random), 'random');
  const vectors = Array.from({ length: 1_000 }, random);
  await index.upsert({
    ids: BigInt64Array.from(vectors, (_, i) => BigInt(i)),
    vectors: Float32Array.from(vectors.flatMap((vector) => [...vector])),
  });
  const bytes = toVector(vectors[0] as Float32Array, VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN);
  const queries: Query[] = Array(512).fill({ query: { $case: 'vector', value: bytes } });
  const controller = new AbortController();
  const search = client.search(
    { ...plain, index: 'large', queries, topK: 10 },
    { signal: controller.signal },
  );
  const order: string[] = [];
  search.catch(() => order.push('search'));
  await client.listIndexes({});
  order.push('list');
  controller.abort();
  await assert.rejects(search, CancelledError);
  assert.deepEqual(order, ['list', 'search']);
});

test('goldens/ranking: ensemble of files and of messages, and its recall', async (context) => {
  const { client } = await serve(context);
  await cp(golden, join(root, 'ranking'), { recursive: true });
  const ids = JSON.parse(await readFile(join(golden, 'ids.json'), 'utf8'));
  const request = EnsembleRequest.fromPartial({
    matrices: ids.weights.map((weight: number, i: number) => ({
      source: { $case: 'path', value: `ranking/matrix-${i + 1}.npy` },
      weight: weight / ids.weights.length,
    })),
    queryIds: ids.query_ids.map(BigInt),
    itemIds: ids.image_ids.map(BigInt),
  });
  const { rankings } = await client.ensemble(request);
  const lines = rankings.map(
    ({ queryId, itemIds }) => `{"query_id": ${queryId}, "item_ids": [${itemIds.join(', ')}]}\n`,
  );
  assert.equal(lines.join(''), await readFile(join(golden, 'expected-ensemble-top10.jsonl'), 'utf8'));
  const expected = JSON.parse(await readFile(join(golden, 'expected-recall.json'), 'utf8'));
  const reference = { source: { $case: 'path' as const, value: 'ranking/reference.jsonl' } };
  for (const source of [
    { $case: 'rankings' as const, value: { rankings } },
    { $case: 'path' as const, value: 'ranking/expected-ensemble-top10.jsonl' },
  ]) {
    const { metrics } = await client.evaluate(
      EvaluateRequest.fromPartial({ reference, predictions: { source } }),
    );
    assert.ok(metrics);
    const { recallAt1: r1, recallAt5: r5, recallAt10: r10, meanRecall: mean_recall } = metrics;
    assert.deepEqual({ r1, r5, r10, mean_recall }, expected);
    assert.equal(metrics.queries, BigInt(ids.query_ids.length));
  }
  const inline = { rows: 2, columns: 3, values: toVector(Float32Array.of(1, 3, 2, 5, 5, 6)) };
  const small = await client.ensemble(
    EnsembleRequest.fromPartial({
      matrices: [{ source: { $case: 'scores', value: inline }, weight: 2 }],
      topK: 2,
    }),
  );
  assert.deepEqual(small.rankings, [
    { queryId: 0n, itemIds: [1n, 2n], scores: [6, 4] },
    { queryId: 1n, itemIds: [2n, 0n], scores: [12, 10] },
  ]);
});

test('no path leads out of the data folder', async (context) => {
  const { client } = await serve(context);
  await symlink('/etc', join(root, 'link'));
  await writeFile(join(root, 'bad.npy'), 'no matrix');
  const ensemble = (value: string) =>
    client.ensemble(
      EnsembleRequest.fromPartial({ matrices: [{ source: { $case: 'path', value }, weight: 1 }] }),
    );
  const evaluation = (value: string) => {
    const reference = { source: { $case: 'path' as const, value } };
    return client.evaluate(EvaluateRequest.fromPartial({ reference, predictions: reference }));
  };
  for (const call of [ensemble, evaluation]) {
    for (const path of ['', '/etc/passwd', '../x', 'a/../../x', 'link/passwd', 'a\0b', '.'])
      await assert.rejects(call(path), InvalidInputError, path);
    await assert.rejects(call('none.npy'), NotFoundError);
  }
  await assert.rejects(ensemble('bad.npy'), (error) => {
    assert.ok(error instanceof DataLossError);
    assert.ok(!error.message.includes(root), error.message);
    return true;
  });
  await assert.rejects(evaluation('bad.npy'), /bad\.npy:1: is not JSON/);
  await assert.rejects(client.ensemble(EnsembleRequest.fromPartial({})), InvalidInputError);
  await assert.rejects(client.evaluate(EvaluateRequest.fromPartial({})), /reference: is empty/);
});

test('aliases: searched and filled in place of an index, swapped, and listed', async (context) => {
  const { client } = await serve(context);
  await client.createIndex(spec('shop-1', 3));
  await client.createIndex(spec('shop-2', 3));
  assert.deepEqual(await client.setAlias({ alias: 'live', index: 'shop-1' }), { previousIndex: '' });
  const added = await client.upsertItems([upsert('live', item(1, vector(1, 0, 0)))]);
  assert.deepEqual([added.index?.name, added.index?.aliases], ['shop-1', ['live']]);
  await client.upsertItems([upsert('shop-2', item(2, vector(1, 0, 0)))]);
  const nearest = async () => {
    const query = { ...plain, index: 'live', queries: [{ query: vector(1, 0, 0) }], topK: 1 };
    const { results, index } = await client.search(query);
    return [index, results[0]?.ids[0]];
  };
  assert.deepEqual(await nearest(), ['shop-1', 1n]);
  assert.deepEqual(await client.setAlias({ alias: 'live', index: 'shop-2' }), { previousIndex: 'shop-1' });
  assert.deepEqual(await nearest(), ['shop-2', 2n]);
  assert.deepEqual((await client.listAliases({})).aliases, [{ name: 'live', index: 'shop-2' }]);
  assert.equal((await client.getIndex({ name: 'live' })).index?.name, 'shop-2');
  await assert.rejects(client.dropIndex({ name: 'shop-2' }), FailedPreconditionError);
  await assert.rejects(client.setAlias({ alias: 'a/b', index: 'shop-1' }), /alias: /);
  await assert.rejects(client.setAlias({ alias: 'shop-1', index: 'shop-2' }), AlreadyExistsError);
  await assert.rejects(client.createIndex(spec('live', 3)), AlreadyExistsError);
  await client.dropAlias({ alias: 'live' });
  await assert.rejects(client.dropAlias({ alias: 'live' }), NotFoundError);
  await client.dropIndex({ name: 'shop-2' });
});

test('attributes come back, and searches filter by them', async (context) => {
  const { client } = await serve(context);
  await client.createIndex(spec('shop', 3));
  const priced = (id: number, price: number): Item =>
    item(id, vector(id, 1, 0), {
      price: { value: { $case: 'intValue', value: BigInt(price) } },
      category: { value: { $case: 'stringValue', value: price < 100 ? '袜子' : '裙子' } },
      sold: { value: { $case: 'boolValue', value: id === 1 } },
      rating: { value: { $case: 'doubleValue', value: id / 2 } },
    });
  const bad = item(9, vector(1, 1, 1), { price: { value: undefined } });
  const named = item(8, vector(1, 1, 1), { 价格: { value: { $case: 'intValue', value: 1n } } });
  const { upserted, failures } = await client.upsertItems([
    upsert('shop', priced(1, 50), priced(2, 150), priced(3, 250), bad, named),
  ]);
  assert.equal(upserted, 3n);
  assert.deepEqual(
    failures.map(({ id, status }) => [id, status?.message]),
    [
      [9n, 'item 9.attributes[price]: has no value'],
      [8n, failures[1]?.status?.message],
    ],
  );
  assert.match(failures[1]?.status?.message ?? '', /^item 8: "价格" cannot name an attribute/);
  const { items, index } = await client.getItems({ index: 'shop', ids: [2n, 9n] });
  assert.equal(index, 'shop');
  assert.deepEqual(items[0]?.attributes, priced(2, 150).attributes);
  assert.deepEqual([items[1]?.status?.code, items[1]?.attributes], [status.NOT_FOUND, {}]);
  const found = async (filter: Condition[]) => {
    const queries = [{ query: vector(1, 0, 0) }];
    const { results } = await client.search({ ...plain, index: 'shop', queries, topK: 9, filter });
    return [...(results[0]?.ids ?? [])].sort();
  };
  const int = (value: bigint) => ({ value: { $case: 'intValue' as const, value } });
  assert.deepEqual(await found([]), [1n, 2n, 3n]);
  const skirts = { value: { $case: 'stringValue' as const, value: '裙子' } };
  assert.deepEqual(await found([{ attribute: 'category', test: { $case: 'equals', value: skirts } }]), [
    2n,
    3n,
  ]);
  const prices = { values: [int(50n), int(250n)] };
  assert.deepEqual(await found([{ attribute: 'price', test: { $case: 'oneOf', value: prices } }]), [1n, 3n]);
  const range = {
    lower: { $case: 'above' as const, value: int(50n) },
    upper: { $case: 'atMost' as const, value: int(150n) },
  };
  assert.deepEqual(await found([{ attribute: 'price', test: { $case: 'range', value: range } }]), [2n]);
  await assert.rejects(found([{ attribute: 'price', test: undefined }]), /filter\[0\]: has no test/);
  const text = { lower: { $case: 'above' as const, value: skirts }, upper: undefined };
  await assert.rejects(
    found([{ attribute: 'price', test: { $case: 'range', value: text } }]),
    /a bound has to be a number/,
  );
});

test('vectors come with the fingerprint of their model', async (context) => {
  const { client } = await serve(context);
  await client.createIndex(spec('known', 3));
  await client.createIndex(spec('unknown', 3, ''));
  await assert.rejects(
    client.createIndex({ name: 'other', dimension: 0, modelFingerprint: 'model-b' }),
    FailedPreconditionError,
  );
  const one = item(1, vector(1, 0, 0));
  await client.upsertItems([upsert('known', one)]);
  await client.upsertItems([unmarked('unknown', one)]);
  await assert.rejects(client.upsertItems([unmarked('known', one)]), /no known model .* model model-a$/);
  await assert.rejects(client.upsertItems([upsert('unknown', one)]), /model model-a .* no known model$/);
  const search = (index: string, modelFingerprint: string) =>
    client.search({ ...plain, index, queries: [{ query: vector(1, 0, 0) }], topK: 1, modelFingerprint });
  await search('known', 'model-a');
  await search('known', '');
  await assert.rejects(search('known', 'model-b'), /model model-b .* model model-a$/);
});
