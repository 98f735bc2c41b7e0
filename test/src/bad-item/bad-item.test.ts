// One bad item in a batch, a stream, a data set or a cache: its neighbours get what they get without it.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import {
  createEncoderClient,
  createHealthClient,
  createRankerClient,
  type EncoderClient,
  type RankerClient,
} from '@online-cnclip/client';
import { fromVector } from '@online-cnclip/contracts';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import { type Embedding, EncodeImageRequest, EncodeRequest } from '@online-cnclip/contracts/encoder/v1';
import { CreateIndexRequest, SearchRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';
import { buildDataset, checkDataset, openDataset } from '@online-cnclip/dataset';
import { importResearchCache, openImageCache } from '@online-cnclip/image-cache';
import { Children } from '../soak/children.ts';
import { GOLDENS, TINY_TOWERS, writeTinyCheckpoint } from '../soak/tiny-data.ts';
import { badImages, goodImages, mixed } from './bad-images.ts';

const vectorFormat = VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN;
const folder = mkdtempSync(join(tmpdir(), 'bad-item-'));
const children = new Children();
let encoder: EncoderClient;
let ranker: RankerClient;

before(async () => {
  await writeTinyCheckpoint(join(folder, 'epoch1.pt'), 1);
  const { visionModel, textModel } = TINY_TOWERS;
  const model = ['--checkpoint', 'epoch1.pt', '--vision-model', visionModel, '--text-model', textModel];
  const encoderProcess = await children.startService('encoder', {
    flags: ['--data-folder', folder, '--compute-threads', '1', ...model],
    logPath: join(folder, 'encoder.log'),
  });
  const rankerProcess = await children.startService('ranker', {
    flags: ['--data-folder', folder, '--encoder-address', encoderProcess.address],
    logPath: join(folder, 'ranker.log'),
  });
  encoder = createEncoderClient(encoderProcess.address);
  ranker = createRankerClient(rankerProcess.address);
  const health = createHealthClient(encoderProcess.address);
  while (!(await health.isServing())) await new Promise((resolve) => setTimeout(resolve, 50));
  health.close();
});
after(async () => {
  encoder.close();
  ranker.close();
  await children.close();
  rmSync(folder, { recursive: true });
});

/** Of numbers of a unit vector: images are decoded at their own pace, so other ones may share a run of the tower. */
const ROUNDING = 1e-6;

const numbersOf = ({ vector }: Embedding): Float32Array =>
  vector ? fromVector(vector, 'vector') : new Float32Array();

function assertSame(actual: readonly ArrayLike<number>[], expected: readonly ArrayLike<number>[]): void {
  assert.equal(actual.length, expected.length);
  for (const [i, row] of expected.entries()) {
    assert.equal(actual[i]?.length, row.length);
    for (let at = 0; at < row.length; at += 1) {
      const difference = Math.abs((actual[i]?.[at] ?? Number.NaN) - (row[at] as number));
      assert.ok(difference <= ROUNDING, `number ${at} of ${i} is ${difference} off`);
    }
  }
}

async function encodeAlone(): Promise<Float32Array[]> {
  const request = EncodeImageRequest.fromPartial({ images: goodImages(), vectorFormat });
  const { embeddings } = await encoder.encodeImage(request);
  assert.ok(embeddings.every(({ status: item }) => item?.code === status.OK));
  return embeddings.map(numbersOf);
}

test('a batch of images', async () => {
  const images = mixed();
  const request = EncodeImageRequest.fromPartial({ images: images.map(({ image }) => image), vectorFormat });
  const { embeddings } = await encoder.encodeImage(request);
  assert.deepEqual(
    embeddings.map(({ status: item }) => item?.code === status.OK),
    images.map(({ isGood }) => isGood),
  );
  for (const { status: item } of embeddings)
    assert.ok(item?.code === status.OK || item?.code === status.INVALID_ARGUMENT, JSON.stringify(item));
  assertSame(embeddings.filter(({ vector }) => vector).map(numbersOf), await encodeAlone());
});

test('a stream of images', async () => {
  const images = mixed();
  const requests = images.map(({ image }, i) =>
    EncodeRequest.fromPartial({ itemId: BigInt(i), item: { $case: 'image', value: image }, vectorFormat }),
  );
  const answers = new Map<number, Embedding>();
  for await (const { itemId, embedding } of encoder.encode(requests))
    if (embedding) answers.set(Number(itemId), embedding);
  assert.equal(answers.size, images.length);
  const good = images.flatMap(({ isGood }, i) => (isGood ? [numbersOf(answers.get(i) as Embedding)] : []));
  assertSame(good, await encodeAlone());
  for (const [i, { isGood }] of images.entries())
    assert.equal(answers.get(i)?.status?.code, isGood ? status.OK : status.INVALID_ARGUMENT, `image ${i}`);
});

test('items of an index', async () => {
  const images = mixed().map((each, i) => ({ ...each, id: BigInt(i + 1) }));
  const good = images.filter(({ isGood }) => isGood);
  const upsert = async (index: string, chosen: typeof images) => {
    await ranker.createIndex(CreateIndexRequest.fromPartial({ name: index }));
    const items = chosen.map(({ id, image }) => ({ id, content: { $case: 'image' as const, value: image } }));
    return ranker.upsertItems([UpsertItemsRequest.fromPartial({ index, items })]);
  };
  const search = async (index: string) => {
    const queries = good.map(({ image }) => ({ query: { $case: 'image' as const, value: image } }));
    const { results } = await ranker.search(SearchRequest.fromPartial({ index, queries, topK: 10 }));
    return results.map(({ ids, scores }) => ({ ids, scores }));
  };
  const answer = await upsert('with', images);
  assert.equal(answer.upserted, BigInt(good.length));
  assert.equal(answer.refused, BigInt(badImages().length));
  assert.deepEqual(
    answer.failures.map(({ id, status: item }) => [id, item?.code]),
    images.filter(({ isGood }) => !isGood).map(({ id }) => [id, status.INVALID_ARGUMENT]),
  );
  await upsert('without', good);
  const [found, expected] = [await search('with'), await search('without')];
  assert.deepEqual(
    found.map(({ ids }) => ids),
    expected.map(({ ids }) => ids),
  );
  assertSame(
    found.map(({ scores }) => scores),
    expected.map(({ scores }) => scores),
  );
});

test('images of a data set: the others are kept byte by byte, and the check names the one', async () => {
  const rows = readFileSync(join(GOLDENS, 'dataset/valid_imgs.tsv'), 'utf8').trim().split('\n');
  const build = async (name: string, lines: readonly string[]) => {
    const dataDir = join(folder, name);
    mkdirSync(dataDir);
    cpSync(join(GOLDENS, 'dataset/valid_texts.jsonl'), join(dataDir, 'valid_texts.jsonl'));
    writeFileSync(join(dataDir, 'valid_imgs.tsv'), `${lines.join('\n')}\n`);
    await buildDataset({ dataDir, splits: ['valid'] });
    const dataset = openDataset(join(dataDir, 'lmdb/valid'));
    const images = new Map([...dataset.imageIds()].map((id) => [id, dataset.image(id).toString('hex')]));
    const pairs = Array.from({ length: dataset.pairs }, (_, i) => dataset.pair(i));
    dataset.close();
    return { images, pairs, lmdbDir: join(dataDir, 'lmdb') };
  };
  const bad = `987654321\t${Buffer.from('<html>404 </html>').toString('base64')}`;
  const without = await build('whole', rows);
  const withBad = await build('with-bad', [...rows.slice(0, 3), bad, ...rows.slice(3)]);
  withBad.images.delete('987654321');
  assert.deepEqual(withBad.images, without.images);
  assert.deepEqual(withBad.pairs, without.pairs);
  const [report] = await checkDataset({ lmdbDir: withBad.lmdbDir });
  assert.equal(report?.problemCount, 1);
  assert.match(JSON.stringify(report?.problems), /987654321/);
});

test('images of a cache that is taken over: the others are the same, and the bad ones are told', async () => {
  const take = async (name: string, withBad: boolean) => {
    const source = join(folder, name);
    cpSync(join(GOLDENS, 'online/cache'), source, { recursive: true });
    const query = join(source, 'test/坏图');
    mkdirSync(query);
    cpSync(join(source, 'test/一七三/1.jpg'), join(query, '1.jpg'));
    if (withBad) writeFileSync(join(query, '2.jpg'), Buffer.alloc(600, 'no picture '));
    const cache = openImageCache(join(folder, `${name}-taken`));
    const { unreadable } = await importResearchCache(source, cache);
    const queries = [...cache.queries()].map(({ query }) => query).sort();
    const images = queries.map((each) => [each, cache.images(each).map(({ jpeg }) => jpeg.toString('hex'))]);
    await cache.close();
    return { images, unreadable };
  };
  const without = await take('cache', false);
  const withBad = await take('cache-with-bad', true);
  assert.deepEqual(withBad.images, without.images);
  assert.equal(without.unreadable.length, 0);
  assert.equal(withBad.unreadable.length, 1);
  assert.match(withBad.unreadable[0]?.path ?? '', /坏图.2\.jpg$/);
});
