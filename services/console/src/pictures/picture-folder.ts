import { statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError } from '@online-cnclip/foundation';
import { INDEX_NAME, type PictureSource } from './picture-sources.ts';

/** In the order they are looked for. */
const TYPES = [
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['webp', 'image/webp'],
  ['svg', 'image/svg+xml'],
] as const;

/** A grid of a hundred tiles of this size is still something that a browser can show. */
const MAX_PICTURE_BYTES = 8 * 1024 * 1024;

/**
 * Pictures as files `INDEX/ID.png` (or .jpg, .webp, .svg) below a folder. Files may come at any time. Paths are made of
 * checked names only; where a link in the folder leads is up to its owner.
 */
export function pictureFolder(folder: string): PictureSource {
  const find = async (index: string, id: bigint) => {
    if (!INDEX_NAME.test(index)) return undefined;
    for (const [type, mediaType] of TYPES) {
      const path = join(folder, index, `${id}.${type}`);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile()) return { path, mediaType, size: found.size };
    }
    return undefined;
  };
  return {
    knows: (index) =>
      INDEX_NAME.test(index) &&
      statSync(join(folder, index), { throwIfNoEntry: false })?.isDirectory() === true,
    has: async (index, id) => (await find(index, id)) !== undefined,
    async read(index, id) {
      const found = await find(index, id);
      if (!found) return undefined;
      const { path, mediaType, size } = found;
      if (size > MAX_PICTURE_BYTES)
        throw new InvalidInputError(`has ${size} bytes, over the limit of ${MAX_PICTURE_BYTES}`, {
          place: path,
        });
      return { bytes: await readFile(path), mediaType };
    },
    close: () => {},
  };
}
