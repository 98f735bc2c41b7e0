import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { lockFolder, writeFileAtomically } from '@online-cnclip/foundation';
import { TRAINING_OPTION_NAMES, type TrainingOptions } from './options.ts';

/** Where an experiment's files lie, named as the research code names them. */
export interface RunFiles {
  readonly folder: string;
  readonly checkpoints: string;
  readonly log: string;
  readonly params: string;
}

export function runFiles(logs: string, name: string, startedAt: Date): RunFiles {
  const folder = join(logs, name);
  const suffix = startedAt.toISOString().slice(0, 19).replace(/[T:]/g, '-');
  return {
    folder,
    checkpoints: join(folder, 'checkpoints'),
    log: join(folder, `out_${suffix}.log`),
    params: join(folder, `params_${suffix}.txt`),
  };
}

export const LATEST_CHECKPOINT = 'epoch_latest.pt';
export const epochCheckpoint = (epoch: number): string => `epoch${epoch}.pt`;
export const stepCheckpoint = (epoch: number, step: number): string => `epoch_${epoch}_${step}.pt`;

/** A run whose service was killed notices, saves and ends by itself. */
const PREDECESSOR_PATIENCE_MS = 10_000;

/**
 * Makes a run's folder, for this process alone: two would write over each other's checkpoints, and remove each other's
 * half-written ones.
 *
 * @returns what gives it back.
 * @throws FailedPreconditionError when another process trains there.
 */
export async function lockRunFolder({ folder }: RunFiles): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  return lockFolder(folder, { patienceMs: PREDECESSOR_PATIENCE_MS });
}

/** Makes the folders, and removes half-written checkpoints that a killed run left behind: each has gigabytes. */
export async function prepareRunFolder(files: RunFiles): Promise<void> {
  await mkdir(files.checkpoints, { recursive: true });
  for (const name of await readdir(files.checkpoints))
    if (ABANDONED_CHECKPOINT.test(name)) await rm(join(files.checkpoints, name), { force: true });
}

/** What replaceFileAtomically writes to before it renames. */
const ABANDONED_CHECKPOINT = /^\..+\.pt\.[0-9a-f]+\.tmp$/;

/**
 * `name: value` of every option and of what was derived from them, sorted by name, written as Python prints them:
 * what reads the research code's files reads these.
 */
export function paramsLines(
  options: TrainingOptions,
  derived: Readonly<Record<string, unknown>> = {},
): string[] {
  const useAugment = options.augmentation === 'original';
  const values: Record<string, unknown> = { ...options, useAugment, ...derived };
  return [...new Set([...TRAINING_OPTION_NAMES, ...Object.keys(derived)])]
    .map((name): [string, unknown] => [snakeCase(name), values[name]])
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}: ${pythonText(value)}`);
}

export async function writeParams(path: string, lines: readonly string[]): Promise<void> {
  await writeFileAtomically(path, `${lines.join('\n')}\n`);
}

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function pythonText(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return String(value).replace(/e-(\d)$/, 'e-0$1');
}
