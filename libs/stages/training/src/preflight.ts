import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inspectCheckpoint } from '@online-cnclip/checkpoint';
import { openDataset } from '@online-cnclip/dataset';
import { NotFoundError } from '@online-cnclip/foundation';
import { resolveModelConfig } from '@online-cnclip/network';
import { kebabCase } from './option-fields.ts';
import type { TrainingOptions } from './options.ts';
import { LATEST_CHECKPOINT, lockRunFolder, runFiles } from './run-files.ts';

/** Options that name something that must be there before a run starts. */
const INPUTS = ['trainData', 'valData', 'resume', 'clipWeightPath', 'bertWeightPath'] as const;

const DATASETS = ['trainData', 'valData'] as const;
const CHECKPOINTS = ['resume', 'clipWeightPath', 'bertWeightPath'] as const;

/**
 * Opens every input of a run and closes it again, so that what a run would fail by is known before it is begun: damaged data
 * sets and checkpoints (their heads), a folder that cannot be written to or that another process trains in.
 *
 * @throws as {@link checkTrainingInputs}; DataLossError; FailedPreconditionError for a folder in use.
 */
export async function tryTrainingInputs(options: TrainingOptions): Promise<void> {
  checkTrainingInputs(options);
  for (const name of DATASETS) {
    const path = options[name];
    if (path !== null) openDataset(path).close();
  }
  for (const name of CHECKPOINTS) {
    const path = options[name];
    if (path !== null) await inspectCheckpoint(path);
  }
  if (options.logs !== null) await tryRunFolder(options.logs, options);
}

async function tryRunFolder(logs: string, { name, resume }: TrainingOptions): Promise<void> {
  const files = runFiles(logs, name, new Date());
  const unlock = await lockRunFolder(files);
  await unlock();
  const latest = join(files.checkpoints, LATEST_CHECKPOINT);
  if (resume === null && existsSync(latest)) await inspectCheckpoint(latest);
}

/**
 * What can be said of a run without starting it, at once: that its models are known and its inputs are there.
 *
 * @throws InvalidInputError for an unknown model, NotFoundError for a missing input, each naming the option.
 */
export function checkTrainingInputs(options: TrainingOptions): void {
  resolveModelConfig(options.visionModel, options.textModel);
  for (const name of INPUTS) {
    const path = options[name];
    if (path !== null && !existsSync(path))
      throw new NotFoundError(`there is no ${JSON.stringify(path)}`, { place: kebabCase(name) });
  }
}
