import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Gallery, Trial } from '../galleries.ts';

/** Folder in the data folder where the console finds the pictures of the ranker's items: `INDEX/ID.png`. */
export const GALLERIES_FOLDER = 'galleries';
/** Files written at a time. */
const WRITE_CONCURRENCY = 16;

/** Writes the pictures of the trials' galleries, in place of those of an earlier run. */
export async function writeGalleryPictures(folder: string, trials: readonly Trial[]): Promise<void> {
  for (const gallery of new Set(trials.map((trial) => trial.gallery))) await writeGallery(folder, gallery);
}

async function writeGallery(folder: string, { index, items }: Gallery): Promise<void> {
  const target = join(folder, index);
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  for (let start = 0; start < items.length; start += WRITE_CONCURRENCY) {
    const batch = items.slice(start, start + WRITE_CONCURRENCY);
    await Promise.all(batch.map(({ id, picture }) => writeFile(join(target, `${id}.png`), picture)));
  }
}
