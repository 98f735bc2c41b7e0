import {
  type BuildDatasetRequest,
  type BuildDatasetResponse,
  DatasetPhase,
} from '@online-cnclip/contracts/trainer/v1';
import type { DataFolder } from '@online-cnclip/foundation';
import type { BuildRequest, BuildUpdate } from './builds/dataset-builds.ts';

/** @throws InvalidInputError naming the field that leads out of the data folder. */
export function buildRequestOf(message: BuildDatasetRequest, root: DataFolder): BuildRequest {
  return {
    dataDir: root.resolve(message.dataDir, 'data_dir'),
    splits: message.splits,
    lmdbDir: message.lmdbDir === '' ? undefined : root.resolve(message.lmdbDir, 'lmdb_dir'),
  };
}

const PHASES = {
  pairs: DatasetPhase.DATASET_PHASE_PAIRS,
  images: DatasetPhase.DATASET_PHASE_IMAGES,
} as const;

export function buildUpdateMessage(update: BuildUpdate, root: DataFolder): BuildDatasetResponse {
  if (update.kind === 'progress') {
    const { split, phase, bytesDone, bytesTotal, records } = update.progress;
    const value = {
      split,
      phase: PHASES[phase],
      bytesDone: BigInt(bytesDone),
      bytesTotal: BigInt(bytesTotal),
      records: BigInt(records),
    };
    return { event: { $case: 'progress', value } };
  }
  const { split, lmdbPath, images, pairs } = update.split;
  const value = {
    split,
    lmdbPath: root.relative(lmdbPath),
    images: BigInt(images),
    pairs: BigInt(pairs),
  };
  return { event: { $case: 'split', value } };
}
