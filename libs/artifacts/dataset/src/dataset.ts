import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DataLossError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { decodeBase64 } from './base64.ts';
import { LmdbReader } from './lmdb/lmdb-reader.ts';
import { decodePair, type Pair } from './pickled-pair.ts';
import { restoreReplaced } from './replace-folder.ts';
import { IMAGE_COUNT_KEY, IMAGES_FOLDER, PAIR_COUNT_KEY, PAIRS_FOLDER } from './split-layout.ts';

/** One split, open for reading. Calls are synchronous: each reads some 20 KB, mostly from the page cache. */
export interface Dataset {
  /** Pairs of an image and a text; 0 for a split of images only. */
  readonly pairs: number;
  /** Distinct images. */
  readonly images: number;
  /**
   * @param index 0 to `pairs` - 1.
   * @throws InvalidInputError for another index, DataLossError for a pair that is missing or damaged.
   */
  pair(index: number): Pair;
  /**
   * The image file.
   *
   * @param imageId in decimal.
   * @throws NotFoundError, DataLossError when it is not base64.
   */
  image(imageId: string): Buffer;
  /** Ids of all images, ascending by the bytes of their decimal digits, as Python iterates over them. */
  imageIds(): Generator<string, void, undefined>;
  /** All images in the order of `imageIds`, one in memory at a time. */
  imagesInOrder(): Generator<{ readonly imageId: string; readonly image: Buffer }, void, undefined>;
  /** Closing again does nothing; any other call then throws FailedPreconditionError. */
  close(): void;
}

/** A split that is being replaced is away for the moment between two renames. */
const OPEN_ATTEMPTS = 3;

/**
 * Opens a split's LMDB, one that this package or the research code built. Cheap; each worker thread opens its own.
 * Whoever has it open goes on reading it when it is replaced by a new build.
 *
 * @param folder `{lmdbDir}/{split}`, with `imgs` and, unless it is a split of images only, `pairs`.
 * @throws NotFoundError, DataLossError, UnsupportedError for an LMDB of another data format.
 */
export function openDataset(folder: string): Dataset {
  for (let attempt = 1; ; attempt += 1) {
    restoreReplaced(folder);
    const before = inodeOf(folder);
    try {
      if (before === undefined) throw new NotFoundError('no data set there', { place: folder });
      const dataset = openParts(folder);
      // Images of one build do not go with pairs of another.
      if (inodeOf(folder) === before) return dataset;
      dataset.close();
    } catch (error) {
      const wasReplaced = before !== undefined && inodeOf(folder) !== before;
      if (!wasReplaced && attempt >= OPEN_ATTEMPTS) throw error;
    }
  }
}

function openParts(folder: string): Dataset {
  const images = new LmdbReader(join(folder, IMAGES_FOLDER));
  try {
    const pairsFolder = join(folder, PAIRS_FOLDER);
    return new LmdbDataset(images, existsSync(pairsFolder) ? new LmdbReader(pairsFolder) : undefined);
  } catch (error) {
    images.close();
    throw error;
  }
}

function inodeOf(folder: string): number | undefined {
  return statSync(folder, { throwIfNoEntry: false })?.ino;
}

class LmdbDataset implements Dataset {
  readonly pairs: number;
  readonly images: number;
  readonly #images: LmdbReader;
  readonly #pairs: LmdbReader | undefined;

  constructor(images: LmdbReader, pairs: LmdbReader | undefined) {
    this.#images = images;
    this.#pairs = pairs;
    try {
      readCount(images, IMAGE_COUNT_KEY);
      // Not the count it states: the research code counts an image once per line of the .tsv.
      this.images = images.entries - 1;
      this.pairs = pairs === undefined ? 0 : readCount(pairs, PAIR_COUNT_KEY);
    } catch (error) {
      pairs?.close();
      throw error;
    }
  }

  pair(index: number): Pair {
    if (!Number.isInteger(index) || index < 0 || index >= this.pairs)
      throw new InvalidInputError(`there is no pair ${index} of ${this.pairs}`);
    const value = this.#pairs?.get(Buffer.from(String(index)));
    const place = `${this.#pairs?.path} pair ${index}`;
    if (value === undefined) throw new DataLossError('missing', { place });
    try {
      return decodePair(value);
    } catch (cause) {
      throw new DataLossError('damaged', { place, cause });
    }
  }

  image(imageId: string): Buffer {
    const base64 = this.#images.get(Buffer.from(imageId));
    if (base64 === undefined || imageId === IMAGE_COUNT_KEY)
      throw new NotFoundError(`no image ${imageId}`, { place: this.#images.path });
    return this.#decode(imageId, base64);
  }

  *imageIds(): Generator<string, void, undefined> {
    for (const { key } of this.#images) {
      const imageId = key.toString();
      if (imageId !== IMAGE_COUNT_KEY) yield imageId;
    }
  }

  *imagesInOrder(): Generator<{ imageId: string; image: Buffer }, void, undefined> {
    for (const { key, value } of this.#images) {
      const imageId = key.toString();
      if (imageId !== IMAGE_COUNT_KEY) yield { imageId, image: this.#decode(imageId, value()) };
    }
  }

  close(): void {
    this.#images.close();
    this.#pairs?.close();
  }

  #decode(imageId: string, base64: Buffer): Buffer {
    const image = decodeBase64(base64);
    if (image === undefined)
      throw new DataLossError('not base64', { place: `${this.#images.path} image ${imageId}` });
    return image;
  }
}

/** @throws DataLossError when the count that ends a build is not there. */
export function readCount(lmdb: LmdbReader, key: string): number {
  const text = lmdb.get(Buffer.from(key))?.toString();
  if (text === undefined || !/^[0-9]{1,15}$/.test(text))
    throw new DataLossError(`no ${key}: it was not built to its end`, { place: lmdb.path });
  return Number(text);
}
