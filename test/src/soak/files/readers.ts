import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inspectCheckpoint, readCheckpoint, readSafetensors } from '@online-cnclip/checkpoint';
import { checkDataset, openDataset, readImagesTsv, readTextsJsonl } from '@online-cnclip/dataset';
import { ExactEngine, openNpy, readFeatures, readNpy } from '@online-cnclip/embedding-index';
import { evaluate, rankingsOfFile } from '@online-cnclip/evaluation';
import { openImageCache } from '@online-cnclip/image-cache';
import { preprocess } from '@online-cnclip/preprocessing';

/** Reads a file of its kind to its end, as the services do. */
export interface Reader {
  readonly kind: string;
  /** What a right file of this kind is called within a folder of seeds. */
  readonly seeds: readonly string[];
  /** Where the reader wants it, within an empty folder. */
  readonly place: string;
  /** Files beside it that stay right, by where they are wanted. */
  readonly beside?: Readonly<Record<string, string>>;
  read(path: string, folder: string): Promise<unknown>;
}

const drain = async (items: AsyncIterable<unknown> | Iterable<unknown>): Promise<void> => {
  for await (const _ of items);
};

async function readDataset(folder: string): Promise<void> {
  const dataset = openDataset(folder);
  try {
    for (let i = 0; i < Math.min(dataset.pairs, 1_000); i += 1)
      dataset.image(String(dataset.pair(i).imageId));
    await drain(dataset.imagesInOrder());
  } finally {
    dataset.close();
  }
}

async function readCache(folder: string): Promise<void> {
  const cache = openImageCache(folder, { readOnly: true });
  try {
    for (const { query } of cache.queries()) cache.images(query);
    cache.failures();
  } finally {
    await cache.close();
  }
}

async function evaluateFile(path: string, reference: string): Promise<void> {
  await evaluate(rankingsOfFile(reference), rankingsOfFile(path), { allowFewer: true });
}

async function readScores(path: string): Promise<void> {
  const file = await openNpy(path);
  await file.close();
  await readNpy(path);
}

export const READERS: readonly Reader[] = [
  {
    kind: 'pt (zip)',
    seeds: ['zip.pt', 'training.pt'],
    place: 'model.pt',
    read: (path) => readCheckpoint(path),
  },
  { kind: 'pt (legacy)', seeds: ['legacy.pt'], place: 'model.pt', read: (path) => readCheckpoint(path) },
  {
    kind: 'pt (inspected)',
    seeds: ['zip.pt', 'legacy.pt'],
    place: 'model.pt',
    read: (path) => inspectCheckpoint(path),
  },
  {
    kind: 'safetensors',
    seeds: ['model.safetensors'],
    place: 'model.safetensors',
    read: (path) => readSafetensors(path),
  },
  { kind: 'npy', seeds: ['scores.npy'], place: 'scores.npy', read: readScores },
  {
    kind: 'lmdb images',
    seeds: ['imgs.mdb'],
    place: 'imgs/data.mdb',
    beside: { 'pairs/data.mdb': 'pairs.mdb' },
    read: (_, folder) => readDataset(folder),
  },
  {
    kind: 'lmdb pairs',
    seeds: ['pairs.mdb'],
    place: 'pairs/data.mdb',
    beside: { 'imgs/data.mdb': 'imgs.mdb' },
    read: (_, folder) => readDataset(folder),
  },
  {
    kind: 'lmdb (checked)',
    seeds: ['imgs.mdb'],
    place: 'valid/imgs/data.mdb',
    beside: { 'valid/pairs/data.mdb': 'pairs.mdb' },
    read: (_, folder) => checkDataset({ lmdbDir: folder }),
  },
  { kind: 'tsv', seeds: ['imgs.tsv'], place: 'imgs.tsv', read: (path) => drain(readImagesTsv(path)) },
  {
    kind: 'texts jsonl',
    seeds: ['texts.jsonl'],
    place: 'texts.jsonl',
    read: (path) => drain(readTextsJsonl(path)),
  },
  {
    kind: 'features jsonl',
    seeds: ['features.jsonl'],
    place: 'features.jsonl',
    read: (path) => drain(readFeatures(path, 'image_id')),
  },
  {
    kind: 'predictions jsonl',
    seeds: ['predictions.jsonl'],
    place: 'predictions.jsonl',
    beside: { 'reference.jsonl': 'reference.jsonl' },
    read: (path, folder) => evaluateFile(path, join(folder, 'reference.jsonl')),
  },
  {
    kind: 'image',
    seeds: [
      ...['a.png', 'b.png', 'c.jpg', 'd.jpg', 'e.webp', 'f.gif', 'g.png'],
      ...['bomb.png', 'header.png', 'bomb.gif', 'frames.gif', 'large.png', 'large.webp', 'large.jpg'],
    ],
    place: 'image',
    read: (path) => preprocess(readFileSync(path), 224),
  },
  { kind: 'index', seeds: ['live.items'], place: 'live.items', read: (_, folder) => openIndexes(folder) },
  {
    kind: 'index snapshot',
    seeds: ['live.index'],
    place: 'live.index',
    read: (_, folder) => openIndexes(folder),
  },
  { kind: 'cache', seeds: ['cache.mdb'], place: 'data.mdb', read: (_, folder) => readCache(folder) },
];

async function openIndexes(folder: string): Promise<void> {
  const engine = await ExactEngine.open({ folder, threads: 1 });
  await engine.close();
}

/** Puts the bytes where the reader wants its file, in a folder that holds nothing else. @returns the file's path. */
export function layOut(reader: Reader, bytes: Buffer, seeds: string, folder: string): string {
  rmSync(folder, { recursive: true, force: true });
  const put = (place: string, content: Buffer): string => {
    const path = join(folder, place);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  };
  for (const [place, seed] of Object.entries(reader.beside ?? {}))
    put(place, readFileSync(join(seeds, seed)));
  return put(reader.place, bytes);
}
