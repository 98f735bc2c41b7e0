import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError, NotFoundError, throwIfAborted } from '@online-cnclip/foundation';
import { type ImageCache, openImageCache, requireQuery } from '@online-cnclip/image-cache';
import { prefetch } from '../prefetch.ts';
import { type ImageAnswer, type ImageQuery, type ImageSource, MISSING } from './image-source.ts';

/** Files read ahead: more than a disk serves side by side. */
const FILES_AHEAD = 16;

/** The research code counts a smaller file as missing. */
const MIN_FILE_BYTES = 500;

/** Folders of the research code's cache: `valid` in training, `test` in testing. */
export type CacheSplit = 'valid' | 'test';

/**
 * Images that were fetched before, out of a folder that is only read: an image cache, or the research code's own
 * layout `{split}/{query}/{n}.jpg`.
 *
 * @throws NotFoundError when the folder is neither; what opening the cache throws.
 */
export function openCachedImages(folder: string, split: CacheSplit): ImageSource {
  if (existsSync(join(folder, 'data.mdb'))) return cacheSource(openImageCache(folder, { readOnly: true }));
  const files = join(folder, split);
  if (existsSync(files)) return source((query) => fileOf(files, query));
  throw new NotFoundError(`holds neither an image cache nor a folder ${split}/`, { place: folder });
}

function cacheSource(cache: ImageCache): ImageSource {
  return source(
    async (query) => imageOf(cache, query),
    () => cache.close(),
  );
}

function imageOf(cache: ImageCache, { text, number }: ImageQuery): ImageAnswer {
  const known = cache.get(text);
  if (!known) return { missing: MISSING.notCrawled };
  if (known.state === 'NO_RESULTS') return { missing: MISSING.noResults };
  if (known.state !== 'OK') return { missing: known.failure?.reason ?? MISSING.deferred };
  const file = cache.images(text, number)[number - 1]?.jpeg;
  return file ? { file, cached: true } : { missing: MISSING.fewerImages };
}

/** A placeholder is named `0_{n}.jpg` there, and so is never found. */
async function fileOf(folder: string, { text, number }: ImageQuery): Promise<ImageAnswer> {
  const images = join(folder, requireQuery(text));
  const file = await readIfThere(join(images, `${number}.jpg`));
  if (file && file.length >= MIN_FILE_BYTES) return { file, cached: true };
  return { missing: existsSync(images) ? MISSING.fewerImages : MISSING.notCrawled };
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}

function source(
  find: (query: ImageQuery) => Promise<ImageAnswer>,
  close: () => Promise<void> = async () => {},
): ImageSource {
  const answer = async (query: ImageQuery): Promise<ImageAnswer> => {
    try {
      return await find(query);
    } catch (error) {
      // Of one query only: the others still count.
      if (error instanceof InvalidInputError) return { missing: MISSING.invalidQuery };
      throw error;
    }
  };
  return {
    mode: 'cache',
    async *images(queries, signal) {
      for await (const found of prefetch(queries, FILES_AHEAD, answer)) {
        throwIfAborted(signal);
        yield found;
      }
    },
    close,
  };
}
