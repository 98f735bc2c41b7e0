import { join } from 'node:path';
import { BuildDatasetRequest } from '@online-cnclip/contracts/trainer/v1';
import { writeSplitFiles } from '../emoji/split-files.ts';
import { SPLIT_NAMES, type SplitName, type Splits } from '../emoji/splits.ts';
import type { JobContext } from './context.ts';

/** The data set's folder, relative to the services' data folder. */
export const DATASET_FOLDER = 'datasets/emoji';

export const lmdbOf = (split: SplitName): string => `${DATASET_FOLDER}/lmdb/${split}`;

/** The file of a split's texts. */
export const textsOf = (split: SplitName): string => `${DATASET_FOLDER}/${split}_texts.jsonl`;

/** Writes the splits' files and has the trainer build an LMDB of each. */
export async function makeDataset(
  { clients, progress, signal }: JobContext,
  dataFolder: string,
  splits: Splits,
): Promise<void> {
  const task = progress.start('dataset', 2 * SPLIT_NAMES.length);
  const counts = await writeSplitFiles(join(dataFolder, DATASET_FOLDER), splits);
  task.update(SPLIT_NAMES.length, 'files written');
  const request = BuildDatasetRequest.fromPartial({ dataDir: DATASET_FOLDER, splits: [...SPLIT_NAMES] });
  let built = 0;
  for await (const { event } of clients.trainer.buildDataset(request, { signal }))
    if (event?.$case === 'split') task.update(SPLIT_NAMES.length + ++built, event.value.split);
  const { train } = counts;
  task.finish(`${train.pairs} pairs of ${train.images} training images and their texts`);
}
