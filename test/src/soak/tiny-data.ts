import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';

export const GOLDENS = fileURLToPath(new URL('../../goldens/', import.meta.url));

export const TINY_TOWERS = { visionModel: 'ViT-mini-8-48', textModel: 'RoBERTa-mini-chinese' } as const;

/** Of the tiny model's vectors. */
export const TINY_DIMENSION = 128;

/** A checkpoint of the tiny model, its parameters from the seed. */
export async function writeTinyCheckpoint(path: string, seed: number): Promise<void> {
  const { visionModel, textModel } = TINY_TOWERS;
  const parameters = initializeParameters(resolveModelConfig(visionModel, textModel), seed);
  await writeCheckpoint(path, { epoch: 1, step: seed, name: 'tiny', parameters });
}

/** `datasets/{name}` with the golden pairs under each split: as .tsv and .jsonl, and with what Python's lmdb wrote of them. */
export function copyTinyDataset(dataFolder: string, name: string, splits: readonly string[]): string {
  const folder = join(dataFolder, 'datasets', name);
  mkdirSync(folder, { recursive: true });
  for (const split of splits) {
    for (const file of ['imgs.tsv', 'texts.jsonl'])
      cpSync(join(GOLDENS, 'dataset', `valid_${file}`), join(folder, `${split}_${file}`));
    cpSync(join(GOLDENS, 'dataset/lmdb/valid'), join(folder, 'lmdb', split), { recursive: true });
  }
  return folder;
}

/** Images of the golden data set, as their files have them. */
export function goldenImages(): Buffer[] {
  return readFileSync(join(GOLDENS, 'dataset/valid_imgs.tsv'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => Buffer.from(line.split('\t')[1] ?? '', 'base64url'));
}
