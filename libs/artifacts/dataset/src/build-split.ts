import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { NotFoundError } from '@online-cnclip/foundation';
import { checkImageLine, repeatedImage } from './images-tsv.ts';
import { INITIAL_MAP_BYTES } from './limits.ts';
import { readLineBatches } from './lines.ts';
import { LmdbReader } from './lmdb/lmdb-reader.ts';
import { type LmdbPut, LmdbWriter } from './lmdb/lmdb-writer.ts';
import { encodePair } from './pickled-pair.ts';
import {
  IMAGE_COUNT_KEY,
  IMAGES_FOLDER,
  PAIR_COUNT_KEY,
  PAIRS_FOLDER,
  type SplitPaths,
} from './split-layout.ts';
import { parseTextLine } from './texts-jsonl.ts';

/** A line of the .jsonl may name many images: so few pairs at a time bound the memory. */
const PAIRS_PER_TRANSACTION = 5000;

/** How far a file of a split has been read. */
export interface BuildProgress {
  readonly split: string;
  readonly phase: 'images' | 'pairs';
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** Images or pairs written so far. */
  readonly records: number;
}

export interface BuildSplitOptions {
  readonly split: string;
  readonly paths: SplitPaths;
  readonly onProgress?: ((progress: BuildProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Tests lower it. */
  readonly mapBytes?: number | undefined;
  /** Tests lower it. */
  readonly readBytes?: number | undefined;
}

export interface SplitCounts {
  readonly images: number;
  readonly pairs: number;
}

/** Writes a split's `imgs` and, where there is a pair, `pairs` into a new folder, durable when it resolves. */
export async function buildSplit(folder: string, options: BuildSplitOptions): Promise<SplitCounts> {
  const imagesFolder = join(folder, IMAGES_FOLDER);
  const writer = new LmdbWriter(imagesFolder, mapBytesOf(options));
  const images = await closeAfter(writer, () => writeImages(writer, options));
  const reader = new LmdbReader(imagesFolder);
  // The disk takes the images while the pairs, a hundredth of them, are written.
  const [synced, paired] = await Promise.allSettled([
    writer.sync(),
    buildPairs(join(folder, PAIRS_FOLDER), reader, options),
  ]);
  reader.close();
  if (paired.status === 'rejected') throw paired.reason;
  if (synced.status === 'rejected') throw synced.reason;
  return { images, pairs: paired.value };
}

async function writeImages(writer: LmdbWriter, options: BuildSplitOptions): Promise<number> {
  const path = options.paths.imagesTsv;
  const bytesTotal = await fileBytes(path);
  let images = 0;
  for await (const { lines, firstLine, bytesRead } of readLineBatches(path, options)) {
    const puts = lines.map((bytes, i): LmdbPut => {
      const { id, base64 } = checkImageLine(bytes, `${path}:${firstLine + i}`);
      return [id, base64];
    });
    const repeated = await writer.insert(puts);
    if (repeated !== -1) throw repeatedImage(String(puts[repeated]?.[0]), `${path}:${firstLine + repeated}`);
    images += lines.length;
    report(options, 'images', bytesRead, bytesTotal, images);
  }
  await writer.insert([countEntry(IMAGE_COUNT_KEY, images)]);
  return images;
}

async function buildPairs(folder: string, images: LmdbReader, options: BuildSplitOptions): Promise<number> {
  const writer = new LmdbWriter(folder, mapBytesOf(options));
  const pairs = await closeAfter(writer, () => writePairs(writer, images, options));
  if (pairs > 0) await writer.sync();
  else await rm(folder, { recursive: true });
  return pairs;
}

/** Whatever `write` ends with, the environment is closed: an open one would keep its map and files. */
async function closeAfter(writer: LmdbWriter, write: () => Promise<number>): Promise<number> {
  let records: number;
  try {
    records = await write();
  } catch (error) {
    await writer.abandon();
    throw error;
  }
  await writer.close();
  return records;
}

const mapBytesOf = ({ mapBytes = INITIAL_MAP_BYTES }: BuildSplitOptions): number => mapBytes;

async function writePairs(
  writer: LmdbWriter,
  images: LmdbReader,
  options: BuildSplitOptions,
): Promise<number> {
  const path = options.paths.textsJsonl;
  const bytesTotal = await fileBytes(path);
  const rules = { requireImageIds: true, hasImage: (id: string) => images.has(Buffer.from(id)) };
  let pairs = 0;
  for await (const { lines, firstLine, bytesRead } of readLineBatches(path, options)) {
    let puts: LmdbPut[] = [];
    for (const [i, bytes] of lines.entries()) {
      const { textId, text, imageIds } = parseTextLine(bytes, path, firstLine + i, rules);
      for (const imageId of imageIds)
        puts.push([Buffer.from(String(pairs++)), encodePair({ imageId, textId, text })]);
      if (puts.length < PAIRS_PER_TRANSACTION) continue;
      await writer.insert(puts);
      puts = [];
    }
    await writer.insert(puts);
    report(options, 'pairs', bytesRead, bytesTotal, pairs);
  }
  await writer.insert([countEntry(PAIR_COUNT_KEY, pairs)]);
  return pairs;
}

function countEntry(key: string, count: number): LmdbPut {
  return [Buffer.from(key), Buffer.from(String(count))];
}

function report(
  { split, onProgress }: BuildSplitOptions,
  phase: BuildProgress['phase'],
  bytesDone: number,
  bytesTotal: number,
  records: number,
): void {
  onProgress?.({ split, phase, bytesDone, bytesTotal, records });
}

/** @throws NotFoundError */
export async function fileBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    throw new NotFoundError('no such file', { place: path, cause });
  }
}
