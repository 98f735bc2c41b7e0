import { join } from 'node:path';
import { type BuildProgress, buildDataset, type CheckProgress, checkDataset } from '@online-cnclip/dataset';
import { DataLossError } from '@online-cnclip/foundation';
import type { Command } from 'commander';
import { nameList } from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { addDataPathOptions, type DataPathOptions, datasetFolder, requirePath } from '../data-path.ts';
import type { Progress, ProgressTask } from '../progress.ts';

interface BuildOptions extends DataPathOptions {
  readonly dataDir?: string;
  readonly splits: readonly string[];
  readonly lmdbDir?: string;
}

interface CheckOptions extends DataPathOptions {
  readonly dataDir?: string;
  readonly splits?: readonly string[];
  readonly lmdbDir?: string;
}

export function configure(command: Command, context: CliContext): void {
  const build = command
    .command('build')
    .description('Builds the LMDB of each split from its {split}_imgs.tsv and {split}_texts.jsonl.')
    .option('--data-dir <folder>', "folder of the splits' files")
    .requiredOption('--splits <names>', 'splits, with commas between them: train,valid,test', nameList)
    .option('--lmdb-dir <folder>', 'where the LMDBs go [lmdb/ in the data dir]')
    .action((options: BuildOptions) => buildSplits(options, context));
  const check = command
    .command('check')
    .description('Reads the LMDB of each split to its end and lists what is wrong.')
    .option('--data-dir <folder>', 'folder that has the LMDBs in lmdb/')
    .option('--splits <names>', 'splits, with commas between them [all that are there]', nameList)
    .option('--lmdb-dir <folder>', 'folder of the LMDBs')
    .action((options: CheckOptions) => checkSplits(options, context));
  for (const one of [build, check]) addDataPathOptions(one, context);
}

async function buildSplits(options: BuildOptions, context: CliContext): Promise<void> {
  const bar = new PhaseBar(context.progress);
  try {
    await buildDataset({
      dataDir: requirePath(options.dataDir, datasetFolder(options), '--data-dir'),
      splits: options.splits,
      lmdbDir: options.lmdbDir,
      signal: context.stopSignal(),
      onProgress: (progress: BuildProgress) =>
        bar.show(progress, progress.bytesTotal, progress.bytesDone, `${progress.records} written`),
      onSplit({ split, images, pairs, lmdbPath }) {
        bar.end();
        context.print(`${split}: ${images} images, ${pairs} pairs in ${lmdbPath}`);
      },
    });
  } finally {
    bar.end();
  }
}

async function checkSplits(options: CheckOptions, context: CliContext): Promise<void> {
  const lmdbDir =
    options.lmdbDir ?? join(requirePath(options.dataDir, datasetFolder(options), '--lmdb-dir'), 'lmdb');
  const bar = new PhaseBar(context.progress);
  const reports = await checkDataset({
    lmdbDir,
    splits: options.splits,
    signal: context.stopSignal(),
    onProgress: (progress: CheckProgress) => bar.show(progress, progress.total, progress.records),
  }).finally(() => bar.end());
  for (const { split, images, pairs, problemCount, problems } of reports) {
    context.print(`${split}: ${images} images, ${pairs} pairs, ${problemCount} problems`);
    for (const { place, message } of problems) context.print(`  ${place}: ${message}`);
    if (problems.length < problemCount) context.print(`  and ${problemCount - problems.length} more`);
  }
  const found = reports.reduce((sum, { problemCount }) => sum + problemCount, 0);
  if (found > 0) throw new DataLossError(`${found} problems found`, { place: lmdbDir });
}

/** A bar for each phase of each split. */
class PhaseBar {
  readonly #progress: Progress;
  #shown: { readonly title: string; readonly task: ProgressTask } | undefined;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  show(at: { split: string; phase: string }, total: number, done: number, detail?: string): void {
    const title = `${at.split} ${at.phase}`;
    if (this.#shown?.title !== title) {
      this.end();
      this.#shown = { title, task: this.#progress.start(title, total) };
    }
    this.#shown?.task.update(done, detail);
  }

  end(): void {
    this.#shown?.task.end();
    this.#shown = undefined;
  }
}
