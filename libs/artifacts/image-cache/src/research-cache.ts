import { createHash } from 'node:crypto';
import { type Dirent, existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, NotFoundError, throwIfAborted } from '@online-cnclip/foundation';
import sharp from 'sharp';
import type { ImageCache } from './image-cache.ts';
import type { NewImage } from './outcome.ts';
import { normalizeQuery, requireQuery } from './query.ts';
import { perceptualSignature } from './signature.ts';

const SPLITS = ['valid', 'test'] as const;
const LOGS = 'mark_log';

/** `3.jpg` is the third image, `0_3.jpg` the placeholder that took its place. */
const IMAGE_NAME = /^([1-9]\d*)\.jpe?g$/i;
const PLACEHOLDER_NAME = /^0_\d+\.jpe?g$/i;

/** The research code counts a smaller file as missing. */
const MIN_FILE_BYTES = 500;

/** Far above any file that the research code wrote (224 pixels a side). */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_PIXELS = 4096 * 4096;

const SIDE = 224;
const JPEG_QUALITY = 95;

export interface ResearchImport {
  readonly queries: number;
  readonly images: number;
  /** Files that stood for an image which could not be fetched: `0_{n}.jpg`. */
  readonly placeholders: number;
  /** Files under 500 bytes. */
  readonly tooSmall: number;
  /** Copies of one picture in folders of several queries: the research code's picture for a failure. */
  readonly failPictures: number;
  /** Entries of mark_log: queries that the research code had trouble with. */
  readonly marks: number;
  /** What could not be read, with the reason; everything else was imported. */
  readonly unreadable: readonly { readonly path: string; readonly reason: string }[];
}

interface ImageFile {
  readonly path: string;
  readonly rank: number;
  readonly bytes: Buffer;
  readonly sha256: Buffer;
  readonly fetchedAt: Date;
}

/**
 * Puts the images of a cache of the research code (`valid/{query}/{n}.jpg`, `test/...`, `mark_log/`) into a cache.
 * Importing again changes nothing but the count of attempts.
 *
 * @throws NotFoundError when the folder holds neither split; StorageFullError; CancelledError.
 */
export async function importResearchCache(
  folder: string,
  cache: ImageCache,
  signal?: AbortSignal,
): Promise<ResearchImport> {
  const splits = SPLITS.map((split) => join(folder, split)).filter((path) => existsSync(path));
  if (splits.length === 0)
    throw new NotFoundError(`holds neither ${SPLITS.join('/ nor ')}/`, { place: folder });
  const importer = new Importer(cache);
  const queries = await importer.findQueries(splits);
  await importer.findFailPictures(queries, signal);
  for (const [query, folders] of queries) {
    throwIfAborted(signal);
    await importer.importQuery(query, folders);
  }
  const marks = await importer.countMarks(join(folder, LOGS));
  return { ...importer.counts, marks, unreadable: importer.unreadable };
}

class Importer {
  readonly counts = { queries: 0, images: 0, placeholders: 0, tooSmall: 0, failPictures: 0 };
  readonly unreadable: { path: string; reason: string }[] = [];
  readonly #cache: ImageCache;
  /** Of every file, the query it was first seen with; undefined when there are several. */
  readonly #owners = new Map<string, string | undefined>();

  constructor(cache: ImageCache) {
    this.#cache = cache;
  }

  /** Folders by normalised query. */
  async findQueries(splits: readonly string[]): Promise<Map<string, string[]>> {
    const queries = new Map<string, string[]>();
    for (const split of splits)
      for (const entry of await this.#list(split)) {
        const path = join(split, entry.name);
        if (!entry.isDirectory()) continue;
        const query = this.#queryOf(path, entry.name);
        if (query !== undefined) queries.set(query, [...(queries.get(query) ?? []), path]);
      }
    return queries;
  }

  async findFailPictures(
    queries: ReadonlyMap<string, readonly string[]>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (const [query, folders] of queries) {
      throwIfAborted(signal);
      for (const { sha256 } of await this.#readFolders(folders, false)) {
        const hash = sha256.toString('hex');
        this.#owners.set(
          hash,
          this.#owners.has(hash) && this.#owners.get(hash) !== query ? undefined : query,
        );
      }
    }
  }

  async importQuery(query: string, folders: readonly string[]): Promise<void> {
    const images: NewImage[] = [];
    for (const file of await this.#readFolders(folders, true)) {
      if (this.#owners.get(file.sha256.toString('hex')) === undefined) this.counts.failPictures += 1;
      else images.push(...(await this.#toImage(file)));
    }
    if (images.length === 0) return;
    this.counts.queries += 1;
    this.counts.images += this.#cache.put(query, {
      state: 'OK',
      images,
      wanted: images.length,
    }).images.length;
  }

  /** Lines of all logs in the folder. */
  async countMarks(folder: string): Promise<number> {
    if (!existsSync(folder)) return 0;
    let marks = 0;
    for (const entry of await this.#list(folder)) {
      const path = join(folder, entry.name);
      try {
        const text = await readFile(path, 'utf8');
        marks += text.split('\n').filter((line) => line.trim() !== '').length;
      } catch (cause) {
        this.#note(path, cause);
      }
    }
    return marks;
  }

  #queryOf(path: string, name: string): string | undefined {
    try {
      requireQuery(name);
      return normalizeQuery(name);
    } catch (error) {
      this.#note(path, error);
      return undefined;
    }
  }

  async #readFolders(folders: readonly string[], counting: boolean): Promise<ImageFile[]> {
    const files: ImageFile[] = [];
    for (const folder of folders)
      for (const { name } of await this.#list(folder, counting)) {
        const rank = Number(IMAGE_NAME.exec(name)?.[1] ?? 0);
        if (counting && PLACEHOLDER_NAME.test(name)) this.counts.placeholders += 1;
        const file = rank > 0 ? await this.#readFile(join(folder, name), rank, counting) : undefined;
        if (file) files.push(file);
      }
    return files.sort((a, b) => a.rank - b.rank);
  }

  async #readFile(path: string, rank: number, counting: boolean): Promise<ImageFile | undefined> {
    try {
      const { size, mtime } = await stat(path);
      if (size > MAX_FILE_BYTES) throw new Error(`has ${size} bytes, more than ${MAX_FILE_BYTES}`);
      const bytes = await readFile(path);
      if (size >= MIN_FILE_BYTES)
        return { path, rank, bytes, sha256: createHash('sha256').update(bytes).digest(), fetchedAt: mtime };
      if (counting) this.counts.tooSmall += 1;
    } catch (error) {
      if (counting) this.#note(path, error);
    }
    return undefined;
  }

  async #toImage({ path, rank, bytes, sha256, fetchedAt }: ImageFile): Promise<NewImage[]> {
    try {
      const jpeg = await toCacheImage(bytes);
      const signature = await perceptualSignature(jpeg);
      return [
        { jpeg, sourceUrl: '', pageUrl: '', sourceSha256: sha256, signature, rank, sessionId: 0n, fetchedAt },
      ];
    } catch (error) {
      this.#note(path, error);
      return [];
    }
  }

  async #list(folder: string, counting = true): Promise<Dirent[]> {
    try {
      return await readdir(folder, { withFileTypes: true });
    } catch (error) {
      if (counting) this.#note(folder, error);
      return [];
    }
  }

  #note(path: string, error: unknown): void {
    this.unreadable.push({ path, reason: messageOf(error) });
  }
}

/** The file as it is where it is what the cache holds already. @throws when it cannot be decoded. */
async function toCacheImage(bytes: Buffer): Promise<Buffer> {
  const image = sharp(bytes, { failOn: 'truncated', limitInputPixels: MAX_PIXELS });
  const { format, width, height, channels, space } = await image.metadata();
  const rgb = image.removeAlpha().toColourspace('srgb');
  if (format === 'jpeg' && width === SIDE && height === SIDE && channels === 3 && space === 'srgb') {
    await rgb.raw().toBuffer();
    return bytes;
  }
  return rgb
    .resize(SIDE, SIDE, { fit: 'fill', kernel: 'cubic', fastShrinkOnLoad: false })
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer();
}
