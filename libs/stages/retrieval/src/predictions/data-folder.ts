import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, NotFoundError } from '@online-cnclip/foundation';

/** Which features are ranked: the research code's scripts always took MUGE's test split. */
export interface SplitOptions {
  readonly dataset?: string;
  readonly split?: string;
}

/** Files of one model's predictions. */
export interface SingleFiles {
  readonly imageFeatures: string;
  readonly textFeatures: string;
  /** Predictions, one line per query. */
  readonly predictions: string;
  /** All scores, float32 `[queries, gallery]`. */
  readonly scoreMatrix: string;
}

/** Files of the predictions of several models together. */
export interface EnsembleFiles {
  /** Their ids name the matrices' columns. */
  readonly imageFeatures: string;
  /** Their ids name the matrices' rows. */
  readonly textFeatures: string;
  /** Holds `matrix-1.npy`, `matrix-2.npy`, ... */
  readonly matrixFolder: string;
  readonly predictions: string;
  /** The scores they add up to. */
  readonly scoreMatrix: string;
}

/** Where the research code keeps one model's files below its DATAPATH. @param model 1 to 8 in an ensemble. */
export function singleFiles(dataPath: string, model = 1, options: SplitOptions = {}): SingleFiles {
  const { split = 'test' } = options;
  return {
    ...featureFiles(dataPath, '', options),
    predictions: join(dataPath, 'experiments/results', `${split}_predictions_${model}.jsonl`),
    scoreMatrix: join(dataPath, 'npy_save', `matrix-${model}.npy`),
  };
}

/** Where it keeps the ensemble's: `npy_save`. */
export function ensembleFiles(dataPath: string, options: SplitOptions = {}): EnsembleFiles {
  return ensembleIn(dataPath, 'npy_save', '', options);
}

/** And the ones that repeat an earlier ensemble from its kept matrices: `npy_save_last`. */
export function ensembleLastFiles(dataPath: string, options: SplitOptions = {}): EnsembleFiles {
  return ensembleIn(dataPath, 'npy_save_last', 'last', options);
}

function ensembleIn(dataPath: string, folder: string, suffix: string, options: SplitOptions): EnsembleFiles {
  const { split = 'test' } = options;
  const matrixFolder = join(dataPath, folder);
  const predictions = `${split}_predictions_ensemble${suffix && `_${suffix}`}.jsonl`;
  return {
    ...featureFiles(dataPath, suffix && `-${suffix}`, options),
    matrixFolder,
    predictions: join(dataPath, 'experiments/results', predictions),
    scoreMatrix: join(matrixFolder, `matrix-ensemble${suffix && `-${suffix}`}.npy`),
  };
}

function featureFiles(dataPath: string, suffix: string, { dataset = 'MUGE', split = 'test' }: SplitOptions) {
  const folder = join(dataPath, 'datasets', dataset);
  return {
    imageFeatures: join(folder, `${split}_imgs.img_feat${suffix}.jsonl`),
    textFeatures: join(folder, `${split}_texts.txt_feat${suffix}.jsonl`),
  };
}

const MATRIX_NAME = /^matrix-(\d+)\.npy$/;

/** The models' matrices of a folder, by their numbers. @throws NotFoundError when there is none. */
export async function findMatrices(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new NotFoundError(`cannot be read: ${messageOf(cause)}`, { place: folder, cause });
  });
  const numbers = names.flatMap((name) => {
    const digits = MATRIX_NAME.exec(name)?.[1];
    return digits === undefined ? [] : [{ name, number: Number(digits) }];
  });
  if (numbers.length === 0)
    throw new NotFoundError('holds no matrix-1.npy, matrix-2.npy, ...', { place: folder });
  return numbers.sort((a, b) => a.number - b.number).map(({ name }) => join(folder, name));
}
