import { join } from 'node:path';
import { importResearchCache, openImageCache } from '@online-cnclip/image-cache';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { requirePath } from '../data-path.ts';

interface ImportOptions {
  readonly dataPath?: string;
  readonly cache?: string;
}

export function configure(command: Command, context: CliContext): void {
  command
    .command('import')
    .description('Takes over a cache of the research code: its folders valid/, test/ and mark_log/.')
    .argument('<folder>', 'that holds them')
    .option(
      '--data-path <folder>',
      "the research code's data folder (environment: DATAPATH)",
      context.dataPath,
    )
    .option('--cache <folder>', 'the cache [cache/ in the data path]')
    .action((folder: string, options: ImportOptions) => importCache(folder, options, context));
}

async function importCache(folder: string, options: ImportOptions, context: CliContext): Promise<void> {
  const { dataPath } = options;
  const path = requirePath(options.cache, dataPath && join(dataPath, 'cache'), '--cache');
  const cache = openImageCache(path);
  try {
    const report = await importResearchCache(folder, cache, context.stopSignal());
    const { unreadable, queries, images, ...left } = report;
    for (const { path: file, reason } of unreadable) context.progress.note(`${file}: ${reason}`);
    context.print(`${path}: ${images} images of ${queries} queries`);
    context.print(
      `left out: ${left.placeholders} placeholders, ${left.failPictures} copies of a fail picture, ` +
        `${left.tooSmall} files under 500 bytes, ${unreadable.length} unreadable; ${left.marks} marks in mark_log`,
    );
  } finally {
    await cache.close();
  }
}
