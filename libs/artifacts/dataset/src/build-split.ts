import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { NotFoundError } from '@online-cnclip/foundation';
import { checkImageLine, repeatedImage } from './images-tsv.ts';
import { INITIAL_MAP_BYTES } from './limits.ts';
import { readLineBatches } from './lines.ts';
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
  const images = new LmdbWriter(join(folder, IMAGES_FOLDER), options.mapBytes ?? INITIAL_MAP_BYTES);
  try {
    const imageCount = await writeImages(images, options);
    // Pairs look their images up, so images come first.
    const pairCount = await buildPairs(folder, images, options);
    await images.close();
    return { images: imageCount, pairs: pairCount };
  } catch (error) {
    await images.abandon();
    throw error;
  }
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

async function buildPairs(folder: string, images: LmdbWriter, options: BuildSplitOptions): Promise<number> {
  const pairsFolder = join(folder, PAIRS_FOLDER);
  const writer = new LmdbWriter(pairsFolder, options.mapBytes ?? INITIAL_MAP_BYTES);
  let pairs = 0;
  try {
    pairs = await writePairs(writer, images, options);
  } catch (error) {
    await writer.abandon();
    throw error;
  }
  if (pairs > 0) await writer.close();
  else {
    await writer.abandon();
    await rm(pairsFolder, { recursive: true });
  }
  return pairs;
}

async function writePairs(
  writer: LmdbWriter,
  images: LmdbWriter,
  options: BuildSplitOptions,
): Promise<number> {
  const path = options.paths.textsJsonl;
  const bytesTotal = await fileBytes(path);
  const rules = { requireImageIds: true, hasImage: (id: string) => images.has(Buffer.from(id)) };
  let pairs = 0;
  for await (const { lines, firstLine, bytesRead } of readLineBatches(path, options)) {
    const puts: LmdbPut[] = [];
    for (const [i, bytes] of lines.entries()) {
      const { textId, text, imageIds } = parseTextLine(bytes, path, firstLine + i, rules);
      for (const imageId of imageIds)
        puts.push([Buffer.from(String(pairs++)), encodePair({ imageId, textId, text })]);
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
