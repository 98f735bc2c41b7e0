import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpoint, writeCheckpoint } from '@online-cnclip/checkpoint';
import { ExactEngine, normalize, writeFeatures } from '@online-cnclip/embedding-index';
import { type NewImage, openImageCache, perceptualSignature } from '@online-cnclip/image-cache';
import sharp from 'sharp';
import { GOLDENS } from '../tiny-data.ts';
import { gifBomb, pngBomb } from './mutate.ts';

/** A right file of each kind (and some bombs), in a folder. */
export async function makeSeeds(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const copies = {
    'zip.pt': 'model/vit/checkpoint-fp16.pt',
    'legacy.pt': 'model/vit/checkpoint-legacy-format-without-word-embeddings.pt',
    'model.safetensors': 'model/vit/huggingface/model.safetensors',
    'scores.npy': 'ranking/matrix-1.npy',
    'imgs.mdb': 'dataset/lmdb/valid/imgs/data.mdb',
    'pairs.mdb': 'dataset/lmdb/valid/pairs/data.mdb',
    'imgs.tsv': 'dataset/valid_imgs.tsv',
    'texts.jsonl': 'dataset/valid_texts.jsonl',
    'predictions.jsonl': 'ranking/expected-ensemble-top10.jsonl',
    'reference.jsonl': 'ranking/reference.jsonl',
    'a.png': 'preprocessing/alpha.png',
    'b.png': 'preprocessing/palette.png',
    'c.jpg': 'preprocessing/photo.jpg',
    'd.jpg': 'preprocessing/cmyk.jpg',
    'e.webp': 'preprocessing/lossy.webp',
    'f.gif': 'preprocessing/first-frame.gif',
    'g.png': 'preprocessing/gray16.png',
    'bomb.png': 'preprocessing/bad/bomb-30000x30000.png',
  };
  for (const [name, source] of Object.entries(copies)) cpSync(join(GOLDENS, source), join(folder, name));
  writeFileSync(join(folder, 'header.png'), pngBomb(9_400, 9_400));
  writeFileSync(join(folder, 'bomb.gif'), gifBomb(9_000, 9_000, 3));
  writeFileSync(join(folder, 'frames.gif'), gifBomb(500, 500, 2_000));
  await writeLargeImages(folder);
  await writeTrainingCheckpoint(folder);
  await writeVectors(folder);
  await writeCache(folder);
}

/** As large as they may be, or nearly: what decoding takes must stay within its bounds. */
async function writeLargeImages(folder: string): Promise<void> {
  const create = { channels: 3, background: '#a03060' } as const;
  const plain = sharp({ create: { width: 7_000, height: 7_000, ...create } });
  writeFileSync(join(folder, 'large.png'), await plain.png().toBuffer());
  const heavy = sharp({ create: { width: 4_480, height: 4_480, ...create } });
  writeFileSync(join(folder, 'large.webp'), await heavy.clone().webp().toBuffer());
  writeFileSync(join(folder, 'large.jpg'), await heavy.clone().jpeg({ progressive: true }).toBuffer());
}

/** With an optimizer's state, of few parameters. */
async function writeTrainingCheckpoint(folder: string): Promise<void> {
  const { parameters } = await readCheckpoint(join(folder, 'zip.pt'));
  const few = new Map([...parameters].slice(0, 12));
  const optimizer = { kind: 'adamw', step: 3, expAvg: few, expAvgSq: few } as const;
  const checkpoint = { epoch: 1, step: 3, name: 'x', parameters: few, optimizer };
  await writeCheckpoint(join(folder, 'training.pt'), checkpoint);
}

const VECTORS = 40;
const DIMENSION = 16;

async function writeVectors(folder: string): Promise<void> {
  const ids = BigInt64Array.from({ length: VECTORS }, (_, i) => BigInt(i + 1));
  const vectors = Array.from(ids, (_, row) =>
    normalize(
      Float32Array.from({ length: DIMENSION }, (_, i) => Math.sin(row + i * 7)),
      'seed',
    ),
  );
  const joined = Float32Array.from(vectors.flatMap((vector) => [...vector]));
  const indexes = join(folder, 'indexes');
  const engine = await ExactEngine.open({ folder: indexes, threads: 1 });
  const index = await engine.create({ name: 'live', dimension: DIMENSION, fingerprint: 'seed' });
  await index.upsert({ ids, vectors: joined, attributes: vectors.map((_, row) => ({ row: BigInt(row) })) });
  await index.delete(ids.slice(0, 3));
  await engine.close();
  copyFileSync(join(indexes, 'live.items'), join(folder, 'live.items'));
  writeFileSync(join(folder, 'live.index'), snapshotOf(ids, joined));
  const features = Array.from(ids, (id, row) => ({ id, feature: vectors[row] as Float32Array }));
  await writeFeatures(join(folder, 'features.jsonl'), 'image_id', features);
}

/** What earlier versions kept an index in (libs/artifacts/embedding-index/src/files/snapshot-format.ts). */
function snapshotOf(ids: BigInt64Array, vectors: Float32Array): Buffer {
  const createTime = '2026-01-01T00:00:00.000Z';
  const header = Buffer.from(
    JSON.stringify({ dimension: DIMENSION, items: ids.length, fingerprint: 'seed', createTime }),
  );
  const prefix = Buffer.alloc(16);
  prefix.write('OCNINDEX', 'latin1');
  prefix.writeUInt32LE(1, 8);
  prefix.writeUInt32LE(header.length, 12);
  const content = Buffer.concat([prefix, header, Buffer.from(ids.buffer), Buffer.from(vectors.buffer)]);
  return Buffer.concat([content, createHash('sha256').update(content).digest()]);
}

async function writeCache(folder: string): Promise<void> {
  const cache = openImageCache(join(folder, 'cache'));
  const jpeg = await sharp(readFileSync(join(folder, 'c.jpg')))
    .resize(224, 224)
    .jpeg()
    .toBuffer();
  const signature = await perceptualSignature(jpeg);
  for (const [at, query] of ['红色连衣裙', '杯子', '猫'].entries()) {
    const image: NewImage = {
      jpeg,
      signature,
      sourceUrl: `http://127.0.0.1/${at}.jpg`,
      pageUrl: 'http://127.0.0.1/',
      sourceSha256: createHash('sha256').update(query).digest(),
      rank: 1,
      sessionId: 1n,
      fetchedAt: new Date(0),
    };
    cache.put(query, { state: 'OK', wanted: 1, images: [image] });
  }
  await cache.close();
  cpSync(join(folder, 'cache/data.mdb'), join(folder, 'cache.mdb'));
}
