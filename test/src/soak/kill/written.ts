import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpoint } from '@online-cnclip/checkpoint';
import { checkDataset } from '@online-cnclip/dataset';
import { type NewImage, openImageCache, perceptualSignature } from '@online-cnclip/image-cache';
import sharp from 'sharp';
import { GOLDENS } from '../tiny-data.ts';

/** Of each of two parameters: some megabytes, so that a save takes a while to be killed in. */
export const parameterShape = [512, 1_024] as const;

/** What is wrong with what a killed writer left, in words; empty when nothing is. */
export type Check = (folder: string, acknowledged: number) => Promise<string[]>;

/** Written in turn: the whole golden data set, and its first half. */
export const sourceOf = (folder: string, number: number): string =>
  join(folder, number % 2 ? 'whole' : 'half');

export function makeSources(folder: string): void {
  for (const name of ['whole', 'half']) {
    mkdirSync(join(folder, name), { recursive: true });
    cpSync(join(GOLDENS, 'dataset/valid_imgs.tsv'), join(folder, name, 'valid_imgs.tsv'));
    const lines = readFileSync(join(GOLDENS, 'dataset/valid_texts.jsonl'), 'utf8').trim().split('\n');
    const kept = name === 'whole' ? lines : lines.slice(0, Math.ceil(lines.length / 2));
    writeFileSync(join(folder, name, 'valid_texts.jsonl'), `${kept.join('\n')}\n`);
  }
}

const pairsOf = (source: string): number =>
  readFileSync(join(source, 'valid_texts.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .reduce((sum, line) => sum + (JSON.parse(line) as { image_ids: unknown[] }).image_ids.length, 0);

/** The latest acknowledged build or the one after it, each whole. */
export const checkBuilt: Check = async (folder, acknowledged) => {
  if (acknowledged === 0) return [];
  const [report] = await checkDataset({ lmdbDir: join(folder, 'lmdb') });
  if (!report) return ['there is no data set'];
  const wanted = [acknowledged, acknowledged + 1].map((number) => pairsOf(sourceOf(folder, number)));
  return [
    ...report.problems.map((problem) => JSON.stringify(problem)),
    ...(wanted.includes(report.pairs) ? [] : [`${report.pairs} pairs where ${wanted} are right`]),
  ];
};

/** The latest acknowledged checkpoint or a later one, each number of it that step's. */
export const checkSaved: Check = async (folder, acknowledged) => {
  if (acknowledged === 0) return [];
  const { step, parameters } = await readCheckpoint(join(folder, 'checkpoints/epoch_latest.pt'));
  const wrong = [...parameters.values()].filter(({ data }) => data.some((value) => value !== step));
  return [
    ...((step ?? 0) < acknowledged ? [`step ${step} where ${acknowledged} was saved`] : []),
    ...(wrong.length || parameters.size !== 2 ? [`parameters of another step than ${step}`] : []),
  ];
};

/** Every acknowledged query with its two images. */
export const checkCached: Check = async (folder, acknowledged) => {
  const cache = openImageCache(join(folder, 'cache'), { readOnly: true });
  try {
    const wrong: string[] = [];
    for (let number = 1; number <= acknowledged; number += 1) {
      const images = cache.images(`商品${number}`);
      const wanted = await cacheImages(number);
      const isRight = wanted.every((image, i) => images[i]?.jpeg.equals(image.jpeg));
      if (images.length !== wanted.length || !isRight)
        wrong.push(`query ${number} has ${images.length} images`);
    }
    return wrong;
  } finally {
    await cache.close();
  }
};

const jpegs = new Map<number, Promise<Buffer>>();

/** Two pictures, the same for a number each time. */
export async function cacheImages(number: number): Promise<NewImage[]> {
  const images: NewImage[] = [];
  for (const rank of [1, 2]) {
    const color = ((number % 16) * 2 + rank) % 32;
    const jpeg = await (jpegs.get(color) ?? draw(color));
    images.push({
      jpeg,
      signature: await perceptualSignature(jpeg),
      sourceUrl: `http://127.0.0.1/${color}.jpg`,
      pageUrl: 'http://127.0.0.1/',
      sourceSha256: createHash('sha256').update(`${number} ${rank}`).digest(),
      rank,
      sessionId: 1n,
      fetchedAt: new Date(0),
    });
  }
  return images;
}

function draw(color: number): Promise<Buffer> {
  const half = { create: { width: 112, height: 224, channels: 3, background: '#ffffff' } } as const;
  const ground = { r: color * 8, g: 255 - color * 8, b: (color * 53) % 256 };
  const jpeg = sharp({ create: { width: 224, height: 224, channels: 3, background: ground } })
    .composite([{ input: half, left: (color * 7) % 112, top: 0 }])
    .jpeg()
    .toBuffer();
  jpegs.set(color, jpeg);
  return jpeg;
}
