import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FailedPreconditionError, InvalidInputError, throwIfAborted } from '@online-cnclip/foundation';
import { type BuildProgress, buildSplit, fileBytes, type SplitCounts } from './build-split.ts';
import { replaceFolder } from './replace-folder.ts';
import { IMAGES_FOLDER, PAIRS_FOLDER, splitPaths } from './split-layout.ts';

export interface BuildDatasetOptions {
  /** Folder of `{split}_imgs.tsv` and `{split}_texts.jsonl`. */
  readonly dataDir: string;
  /** One named twice is built once. */
  readonly splits: readonly string[];
  /** Absent: `lmdb` in `dataDir`. */
  readonly lmdbDir?: string | undefined;
  /** Called after each piece of some MiB read. */
  readonly onProgress?: ((progress: BuildProgress) => void) | undefined;
  /** Called when a split is in its place. */
  readonly onSplit?: ((split: BuiltSplit) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the map an LMDB starts with; tests lower it. */
  readonly mapBytes?: number | undefined;
  /** Bytes read and committed at a time; tests lower it. */
  readonly readBytes?: number | undefined;
}

export interface BuiltSplit extends SplitCounts {
  readonly split: string;
  /** Its folder: {@link openDataset} opens it. */
  readonly lmdbPath: string;
}

/**
 * Builds each split's LMDB from its .tsv and .jsonl, as the research code's `build_lmdb_dataset.py`: the same keys and
 * values, readable by Python's lmdb; images in the order of the .tsv, pairs in the order of the .jsonl's lines and
 * their image ids. Memory does not grow with the data.
 *
 * A split appears whole or not at all: it is built beside its place, and a failed, cancelled or killed build leaves the
 * split that was there. Splits built before the failing one stay built.
 *
 * @throws InvalidInputError at `file:line` for the first broken line, NotFoundError for a missing file, AbortedError
 * when the same split is being built already, FailedPreconditionError when the split's folder holds anything else than
 * a split, which replacing it would delete; the signal's error.
 */
export async function buildDataset(options: BuildDatasetOptions): Promise<BuiltSplit[]> {
  const { dataDir, lmdbDir, signal, onProgress, onSplit, mapBytes, readBytes } = options;
  const splits = [...new Set(options.splits)];
  if (splits.length === 0) throw new InvalidInputError('no split is named', { place: 'splits' });
  const inputs = splits.map((split) => ({ split, paths: splitPaths(dataDir, split, lmdbDir) }));
  for (const { paths } of inputs) {
    await Promise.all([fileBytes(paths.imagesTsv), fileBytes(paths.textsJsonl)]);
    await checkReplaceable(paths.lmdb);
  }
  const built: BuiltSplit[] = [];
  for (const { split, paths } of inputs) {
    const counts = await replaceFolder(paths.lmdb, async (folder) => {
      const counts = await buildSplit(folder, { split, paths, onProgress, signal, mapBytes, readBytes });
      throwIfAborted(signal);
      return counts;
    });
    const result = { split, lmdbPath: paths.lmdb, ...counts };
    built.push(result);
    onSplit?.(result);
  }
  return built;
}

/** Whoever names a wrong folder must not lose its pictures. */
async function checkReplaceable(folder: string): Promise<void> {
  for (const [place, allowed] of [
    [folder, [IMAGES_FOLDER, PAIRS_FOLDER]],
    [join(folder, IMAGES_FOLDER), ['data.mdb', 'lock.mdb']],
    [join(folder, PAIRS_FOLDER), ['data.mdb', 'lock.mdb']],
  ] as const) {
    const other = (await namesIn(place)).find((name) => !(allowed as readonly string[]).includes(name));
    if (other !== undefined)
      throw new FailedPreconditionError(`holds ${other}, which is no part of a data set: not replaced`, {
        place,
      });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new FailedPreconditionError('not a folder that can be read', { place: folder, cause: error });
  }
}
