import { join } from 'node:path';
import { InvalidInputError } from '@online-cnclip/foundation';
import type { Command } from 'commander';
import type { CliContext } from './context.ts';

// The research code keeps everything below one folder, its DATAPATH: a command that knows it finds its files by itself.

export interface DataPathOptions {
  readonly dataPath?: string | undefined;
  readonly dataset: string;
}

export interface SplitOptions extends DataPathOptions {
  readonly split: string;
}

export function addDataPathOptions(command: Command, { dataPath }: CliContext): void {
  command.option(
    '--data-path <folder>',
    "the research code's data folder, where paths that are not given are looked for (environment: DATAPATH)",
    dataPath,
  );
  command.option('--dataset <name>', 'the data set in it: a folder of its datasets/', 'MUGE');
}

export function addSplitOptions(command: Command, context: CliContext): void {
  addDataPathOptions(command, context);
  command.option('--split <name>', 'the split of the data set', 'test');
}

/** The data set's folder; undefined without a data path. */
export const datasetFolder = ({ dataPath, dataset }: DataPathOptions): string | undefined =>
  dataPath === undefined ? undefined : join(dataPath, 'datasets', dataset);

/** The path that was given, or else the one in the data path. @throws InvalidInputError naming the option. */
export function requirePath(
  given: string | undefined,
  inDataPath: string | undefined,
  option: string,
): string {
  const path = given ?? inDataPath;
  if (!path)
    throw new InvalidInputError('is required, or --data-path (DATAPATH) to find it in', { place: option });
  return path;
}
