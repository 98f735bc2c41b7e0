import { join } from 'node:path';
import { InvalidInputError } from '@online-cnclip/foundation';
import { shown } from './ids.ts';

// Names of a data set's files, those of the research code:
//   {dataDir}/{split}_imgs.tsv, {dataDir}/{split}_texts.jsonl
//   {lmdbDir}/{split}/imgs    keys: image ids, values: their base64, as in the .tsv; num_images: their number
//   {lmdbDir}/{split}/pairs   keys: "0", "1", …, values: pickled (image_id, text_id, text); num_samples: their number
// A split without a pair (a test split) has imgs only.

export const IMAGES_FOLDER = 'imgs';
export const PAIRS_FOLDER = 'pairs';
export const IMAGE_COUNT_KEY = 'num_images';
export const PAIR_COUNT_KEY = 'num_samples';

const DEFAULT_LMDB_FOLDER = 'lmdb';
/** A split names files and a folder: letters of any script, digits, `_`, and inside also `.` and `-`. */
const SPLIT_NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_.-]{0,99}$/u;

export interface SplitPaths {
  readonly imagesTsv: string;
  readonly textsJsonl: string;
  readonly lmdb: string;
}

/** @throws InvalidInputError for a name that cannot be a split's. */
export function splitPaths(dataDir: string, split: string, lmdbDir?: string): SplitPaths {
  return {
    imagesTsv: join(dataDir, `${checkSplitName(split)}_imgs.tsv`),
    textsJsonl: join(dataDir, `${split}_texts.jsonl`),
    lmdb: join(lmdbDir ?? join(dataDir, DEFAULT_LMDB_FOLDER), split),
  };
}

/** @throws InvalidInputError for a name that cannot be a split's. */
export function checkSplitName(split: string): string {
  if (!SPLIT_NAME.test(split))
    throw new InvalidInputError(`${shown(split)} is not the name of a split`, { place: 'splits' });
  return split;
}
