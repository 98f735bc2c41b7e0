import { Command } from 'commander';
import type { CliContext } from './context.ts';
import { usageError } from './report-error.ts';

type Configure = (command: Command, context: CliContext) => void;

interface TopCommand {
  readonly name: string;
  readonly summary: string;
  /** Its modules take a second to load, those of the others are left alone. */
  readonly load: () => Promise<{ readonly configure: Configure }>;
}

const COMMANDS: readonly TopCommand[] = [
  { name: 'dataset', summary: 'build and check data sets', load: () => import('./commands/dataset.ts') },
  { name: 'train', summary: 'train a model', load: () => import('./commands/train.ts') },
  {
    name: 'launch',
    summary: 'train on several replicas on this machine',
    load: () => import('./commands/launch.ts'),
  },
  {
    name: 'encode',
    summary: 'write the features of images and texts',
    load: () => import('./commands/encode.ts'),
  },
  { name: 'predict', summary: 'rank a gallery for every query', load: () => import('./commands/predict.ts') },
  { name: 'evaluate', summary: 'recall of predictions', load: () => import('./commands/evaluate.ts') },
  {
    name: 'checkpoint',
    summary: 'convert, inspect and strip checkpoints',
    load: () => import('./commands/checkpoint.ts'),
  },
  { name: 'model', summary: 'the models that are known by name', load: () => import('./commands/model.ts') },
  { name: 'tokenize', summary: "a text's tokens and ids", load: () => import('./commands/tokenize.ts') },
  {
    name: 'search',
    summary: 'search an index of a running ranker',
    load: () => import('./commands/search.ts'),
  },
  {
    name: 'index',
    summary: 'indexes, aliases and re-embedding of a running ranker',
    load: () => import('./commands/indexes.ts'),
  },
  { name: 'services', summary: 'look after running services', load: () => import('./commands/services.ts') },
  {
    name: 'crawler',
    summary: 'sessions and images of a running crawler',
    load: () => import('./commands/crawler.ts'),
  },
  { name: 'cache', summary: 'the cache of crawled images', load: () => import('./commands/cache.ts') },
  {
    name: 'certs',
    summary: 'certificates of the services and of those who call them',
    load: () => import('./commands/certs.ts'),
  },
  { name: 'run', summary: 'training runs of a running trainer', load: () => import('./commands/run.ts') },
];

/**
 * The command line.
 *
 * @param wanted the only top command that is needed with its options; absent: all.
 */
export async function createProgram(context: CliContext, wanted?: string): Promise<Command> {
  const program = new Command('cnclip')
    .description('Chinese text-to-image retrieval: everything that the services do, on files.')
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(usageError(text)) });
  for (const { name, summary, load } of COMMANDS) {
    const command = program.command(name).summary(summary).description(summary).helpCommand(false);
    if (wanted !== undefined && wanted !== name) continue;
    const { configure } = await load();
    configure(command, context);
  }
  return program;
}

/** The research code's scripts write some options with underscores (`--data_dir`): they mean the same. */
export const withDashes = (argument: string): string =>
  argument.replace(/^--[a-z0-9_]+/, (name) => name.replaceAll('_', '-'));
