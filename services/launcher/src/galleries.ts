import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { InvalidInputError, messageOf, NotFoundError } from '@online-cnclip/foundation';
import { type Emoji, emojiId } from './emoji/catalogue.ts';
import { renderPicture } from './emoji/pictures.ts';
import { imageId, textId } from './emoji/split-files.ts';
import { HELD_OUT_RENDERING, type Splits } from './emoji/splits.ts';

export interface GalleryItem {
  readonly id: number;
  /** PNG, opaque. */
  readonly picture: Buffer;
}

/** Pictures that are ranked together. */
export interface Gallery {
  /** Name of the ranker's index. */
  readonly index: string;
  readonly items: readonly GalleryItem[];
}

export interface GalleryQuery {
  readonly id: number;
  readonly text: string;
  /** The one right item. */
  readonly itemId: number;
}

/** A gallery and the queries it is ranked for. */
export interface Trial {
  readonly test: 'seen' | 'unseen';
  readonly gallery: Gallery;
  readonly queries: readonly GalleryQuery[];
}

/** Names of the ranker's indexes. */
export const HELD_OUT_INDEXES = { seen: 'emoji-seen', unseen: 'emoji-unseen' } as const;
export const FOLDER_INDEX = 'gallery';

/** Pictures of a folder given by the user, at most: more would not be a demo. */
const MAX_PICTURES = 20_000;
const MAX_PICTURE_BYTES = 8 * 1024 * 1024;
/** Ids of pictures that show no emoji of the catalogue; above every emoji's. */
const OTHER_PICTURES_ID = 1_000_000;
const PICTURE_TYPES = new Set(['.png', '.svg']);
const CODE_POINTS = /^[0-9a-f]{2,6}([-_][0-9a-f]{2,6})*$/i;

/** The two tests of the split, each with a gallery of its own: the held-out pictures of its emoji. */
export async function heldOutTrials(splits: Splits): Promise<Trial[]> {
  const trials = (['seen', 'unseen'] as const).map(async (test): Promise<Trial> => {
    const items: GalleryItem[] = [];
    for (const { emoji } of splits[test]) {
      const picture = await readPicture(emoji.pictures[HELD_OUT_RENDERING]);
      items.push({ id: imageId(emoji, HELD_OUT_RENDERING), picture });
    }
    const queries = splits[test].map(({ emoji }) => queryFor(emoji, imageId(emoji, HELD_OUT_RENDERING)));
    return { test, gallery: { index: HELD_OUT_INDEXES[test], items }, queries };
  });
  return Promise.all(trials);
}

export interface FolderTrials {
  readonly trials: readonly Trial[];
  /** Files of the folder that are no picture or not named by code points, and why. */
  readonly skipped: readonly string[];
}

/**
 * Both tests over one gallery, the pictures of a folder: the labels of the emoji that training met, and of those that
 * it did not. Every picture is ranked; one that shows no emoji of the catalogue (a skin tone, say) is no query's answer.
 *
 * @throws NotFoundError when there is no such folder, InvalidInputError when it holds no picture of a known
 *   emoji, two pictures of one, or too many.
 */
export async function folderTrials(
  folder: string,
  catalogue: readonly Emoji[],
  splits: Splits,
): Promise<FolderTrials> {
  const { pictures, skipped } = await listPictures(folder);
  const byId = new Map(catalogue.map((emoji) => [emoji.id, emoji]));
  const unseen = new Set(splits.unseen.map(({ emoji }) => emoji.id));
  const queries = { seen: [] as GalleryQuery[], unseen: [] as GalleryQuery[] };
  const items: GalleryItem[] = [];
  for (const [id, name] of pictures) {
    const picture = await readPicture(join(folder, name)).catch((error: unknown) => {
      skipped.push(messageOf(error));
    });
    if (!picture) continue;
    const emoji = byId.get(id);
    const itemId = emoji ? imageId(emoji, HELD_OUT_RENDERING) : OTHER_PICTURES_ID + items.length;
    items.push({ id: itemId, picture });
    if (emoji) queries[unseen.has(id) ? 'unseen' : 'seen'].push(queryFor(emoji, itemId));
  }
  if (queries.seen.length + queries.unseen.length === 0)
    throw new InvalidInputError('holds no picture named by the code points of an emoji, like 1f600.png', {
      place: folder,
    });
  const gallery = { index: FOLDER_INDEX, items };
  const trials = (['seen', 'unseen'] as const).map((test) => ({ test, gallery, queries: queries[test] }));
  return { trials, skipped };
}

async function readPicture(path: string): Promise<Buffer> {
  const { size } = await stat(path);
  if (size > MAX_PICTURE_BYTES)
    throw new InvalidInputError(`has ${size} bytes, over the limit of ${MAX_PICTURE_BYTES}`, { place: path });
  return renderPicture(await readFile(path), path);
}

async function listPictures(folder: string): Promise<{ pictures: Map<string, string>; skipped: string[] }> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new NotFoundError(`cannot be read: ${messageOf(cause)}`, { place: folder, cause });
  });
  const pictures = new Map<string, string>();
  const skipped: string[] = [];
  for (const name of names.sort()) {
    const type = extname(name);
    const stem = name.slice(0, name.length - type.length);
    if (!PICTURE_TYPES.has(type.toLowerCase()) || !CODE_POINTS.test(stem)) {
      skipped.push(`${join(folder, name)}: not named by code points, like 1f600.png or 1f600.svg`);
      continue;
    }
    const other = pictures.get(emojiId(stem));
    if (other !== undefined)
      throw new InvalidInputError(`shows the same emoji as ${other}`, { place: join(folder, name) });
    pictures.set(emojiId(stem), name);
  }
  if (pictures.size > MAX_PICTURES)
    throw new InvalidInputError(`holds ${pictures.size} pictures, over the limit of ${MAX_PICTURES}`, {
      place: folder,
    });
  return { pictures, skipped };
}

const queryFor = (emoji: Emoji, itemId: number): GalleryQuery => ({
  id: textId(emoji, 0),
  text: emoji.label,
  itemId,
});
