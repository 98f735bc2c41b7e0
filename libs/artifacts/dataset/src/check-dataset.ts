import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ApplicationError, NotFoundError, throwIfAborted } from '@online-cnclip/foundation';
import { decodeBase64 } from './base64.ts';
import { readCount } from './dataset.ts';
import { isInt64, shown } from './ids.ts';
import { imageKind } from './image-kind.ts';
import { MAX_REPORTED_PROBLEMS, RECORDS_PER_TURN } from './limits.ts';
import { LmdbReader } from './lmdb/lmdb-reader.ts';
import { decodePair } from './pickled-pair.ts';
import {
  checkSplitName,
  IMAGE_COUNT_KEY,
  IMAGES_FOLDER,
  PAIR_COUNT_KEY,
  PAIRS_FOLDER,
} from './split-layout.ts';

export interface CheckDatasetOptions {
  /** Folder of the splits' LMDBs. */
  readonly lmdbDir: string;
  /** Absent: every folder in `lmdbDir`. */
  readonly splits?: readonly string[] | undefined;
  readonly onProgress?: ((progress: CheckProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CheckProgress {
  readonly split: string;
  readonly phase: 'images' | 'pairs';
  /** Of `total` checked so far. */
  readonly records: number;
  readonly total: number;
}

export interface DatasetProblem {
  /** For example `lmdb/train/imgs/data.mdb image 1000003`. */
  readonly place: string;
  readonly message: string;
}

export interface SplitReport {
  readonly split: string;
  readonly images: number;
  readonly pairs: number;
  /** All that were found. */
  readonly problemCount: number;
  /** The first {@link MAX_REPORTED_PROBLEMS} of them. */
  readonly problems: readonly DatasetProblem[];
}

/**
 * Reads splits' LMDBs to their end and lists what is wrong: counts that do not agree, ids that are not integers, images
 * that are not base64 or do not begin as an image file (nothing is decoded further), pairs that are missing, damaged or
 * name an image that is not there, one text id with several texts. Memory: some 100 bytes a distinct text.
 *
 * @throws NotFoundError when there is no such folder, the signal's error.
 */
export async function checkDataset(options: CheckDatasetOptions): Promise<SplitReport[]> {
  const { lmdbDir } = options;
  if (!existsSync(lmdbDir)) throw new NotFoundError('no such folder', { place: lmdbDir });
  const splits = options.splits?.map(checkSplitName) ?? (await splitsIn(lmdbDir));
  const reports: SplitReport[] = [];
  for (const split of splits) {
    const folder = join(lmdbDir, split);
    if (!existsSync(folder)) throw new NotFoundError('no data set there', { place: folder });
    reports.push(await new SplitCheck(folder, split, options).run());
  }
  return reports;
}

/** Hidden folders are builds in progress. */
async function splitsIn(lmdbDir: string): Promise<string[]> {
  const entries = await readdir(lmdbDir, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}

class SplitCheck {
  readonly #folder: string;
  readonly #split: string;
  readonly #options: CheckDatasetOptions;
  readonly #problems: DatasetProblem[] = [];
  #problemCount = 0;

  constructor(folder: string, split: string, options: CheckDatasetOptions) {
    this.#folder = folder;
    this.#split = split;
    this.#options = options;
  }

  async run(): Promise<SplitReport> {
    let counted = { images: 0, pairs: 0 };
    const images = this.#open(IMAGES_FOLDER);
    const pairs = existsSync(join(this.#folder, PAIRS_FOLDER)) ? this.#open(PAIRS_FOLDER) : undefined;
    try {
      const imageCount = images === undefined ? 0 : await this.#checkImages(images);
      counted = {
        images: imageCount,
        pairs: pairs === undefined ? 0 : await this.#checkPairs(pairs, images),
      };
    } finally {
      images?.close();
      pairs?.close();
    }
    return {
      split: this.#split,
      ...counted,
      problemCount: this.#problemCount,
      problems: this.#problems,
    };
  }

  #open(name: string): LmdbReader | undefined {
    try {
      return new LmdbReader(join(this.#folder, name));
    } catch (error) {
      return this.#caught(error, join(this.#folder, name));
    }
  }

  async #checkImages(lmdb: LmdbReader): Promise<number> {
    let images = 0;
    try {
      for (const { key, value } of lmdb) {
        const imageId = key.toString();
        if (imageId === IMAGE_COUNT_KEY) continue;
        this.#checkImage(imageId, value, `${lmdb.path} image ${imageId}`);
        images += 1;
        await this.#turn('images', images, lmdb.entries - 1);
      }
      this.#checkCount(lmdb, IMAGE_COUNT_KEY, images);
    } catch (error) {
      this.#caught(error, lmdb.path);
    }
    return images;
  }

  #checkImage(imageId: string, value: () => Buffer, place: string): void {
    if (!isInt64(imageId)) this.#found(place, 'its id is not a 64-bit integer in decimal');
    const image = decodeBase64(value());
    if (image === undefined) this.#found(place, 'not base64 with padding');
    else if (imageKind(image) === undefined) this.#found(place, 'does not begin as an image file');
  }

  async #checkPairs(lmdb: LmdbReader, images: LmdbReader | undefined): Promise<number> {
    const textOfId = new Map<string, string>();
    let pairs = 0;
    try {
      const count = readCount(lmdb, PAIR_COUNT_KEY);
      if (lmdb.entries - 1 !== count)
        this.#found(lmdb.path, `${PAIR_COUNT_KEY} is ${count}, but there are ${lmdb.entries - 1} pairs`);
      for (; pairs < Math.min(count, lmdb.entries); pairs += 1) {
        this.#checkPair(lmdb, pairs, images, textOfId);
        await this.#turn('pairs', pairs + 1, count);
      }
    } catch (error) {
      this.#caught(error, lmdb.path);
    }
    return pairs;
  }

  #checkPair(
    lmdb: LmdbReader,
    index: number,
    images: LmdbReader | undefined,
    textOfId: Map<string, string>,
  ): void {
    const place = `${lmdb.path} pair ${index}`;
    const value = lmdb.get(Buffer.from(String(index)));
    if (value === undefined) {
      this.#found(place, 'missing');
      return;
    }
    try {
      const { imageId, textId, text } = decodePair(value);
      if (images !== undefined && !images.has(Buffer.from(imageId)))
        this.#found(place, `there is no image ${imageId}`);
      const other = textOfId.get(textId);
      if (other === undefined) textOfId.set(textId, text);
      else if (other !== text)
        this.#found(place, `text ${textId} is ${shown(text)} here and ${shown(other)} before`);
    } catch (error) {
      this.#caught(error, place);
    }
  }

  #checkCount(lmdb: LmdbReader, key: string, counted: number): void {
    const stated = readCount(lmdb, key);
    if (stated !== counted) this.#found(lmdb.path, `${key} is ${stated}, but there are ${counted}`);
  }

  async #turn(phase: CheckProgress['phase'], records: number, total: number): Promise<void> {
    if (records % RECORDS_PER_TURN !== 0 && records !== total) return;
    throwIfAborted(this.#options.signal);
    this.#options.onProgress?.({ split: this.#split, phase, records, total });
    await nextTurn();
  }

  /** A damaged file is a problem to list; a cancelled check or a defect is not. */
  #caught(error: unknown, place: string): undefined {
    const isProblem =
      error instanceof ApplicationError && ['data-loss', 'not-found', 'unsupported'].includes(error.kind);
    if (!isProblem) throw error;
    this.#found(error.place ?? place, error.message.replace(`${error.place}: `, ''));
  }

  #found(place: string, message: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < MAX_REPORTED_PROBLEMS) this.#problems.push({ place, message });
  }
}
