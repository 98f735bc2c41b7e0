import { readFile } from 'node:fs/promises';
import { createRankerClient, type RankerClient } from '@online-cnclip/client';
import { errorOfItem, MAX_TOP_K } from '@online-cnclip/contracts';
import { type Query, SearchRequest, type SearchResult } from '@online-cnclip/contracts/ranker/v1';
import { InvalidInputError, messageOf, NotFoundError } from '@online-cnclip/foundation';
import type { Command } from 'commander';
import { countOption } from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { addressOption, withClient } from '../services.ts';

interface SearchOptions {
  readonly address: string;
  readonly index?: string;
  readonly image?: readonly string[];
  readonly topK: number;
}

/** A query and how it is called in the answer. */
interface NamedQuery {
  readonly name: string;
  readonly query: Query;
}

export function configure(command: Command, context: CliContext): void {
  command
    .description('Finds the best items of an index for texts or images, through a running ranker.')
    .argument('[text...]', 'texts to search for')
    .option('--image <path...>', 'image files to search for')
    .option('--index <name>', 'the index [the only one there is]');
  countOption(command, '--top-k <n>', 'items per query', { most: MAX_TOP_K, initial: 10 });
  addressOption(command, 'ranker');
  command.action((texts: string[], options: SearchOptions) => search(texts, options, context));
}

async function search(texts: readonly string[], options: SearchOptions, context: CliContext): Promise<void> {
  const queries = [...texts.map(textQuery), ...(await Promise.all((options.image ?? []).map(imageQuery)))];
  if (queries.length === 0) throw new InvalidInputError('give a TEXT or --image', { place: 'search' });
  const signal = context.stopSignal();
  const results = await withClient(context, createRankerClient, options.address, async (ranker) => {
    const index = options.index ?? (await onlyIndex(ranker, signal));
    const request = SearchRequest.fromPartial({
      index,
      queries: queries.map(({ query }) => query),
      topK: options.topK,
    });
    return (await ranker.search(request, { signal })).results;
  });
  const errors = results.flatMap((result, i) => printResult(queries[i]?.name ?? '', result, context));
  if (errors[0]) throw errors[0];
}

const textQuery = (text: string): NamedQuery => ({
  name: text,
  query: { query: { $case: 'text', value: text } },
});

async function imageQuery(path: string): Promise<NamedQuery> {
  const value = await readFile(path).catch((cause: unknown) => {
    throw new NotFoundError(`cannot be read: ${messageOf(cause)}`, { place: path, cause });
  });
  return { name: path, query: { query: { $case: 'image', value } } };
}

async function onlyIndex(ranker: RankerClient, signal: AbortSignal): Promise<string> {
  const { indexes } = await ranker.listIndexes({}, { signal });
  const [only] = indexes;
  if (only && indexes.length === 1) return only.name;
  const names = indexes.map(({ name }) => name).join(', ') || 'none';
  throw new InvalidInputError(`is required: the ranker has ${names}`, { place: '--index' });
}

/** A query that cannot be answered does not keep the others from being. */
function printResult(name: string, { status, ids, scores }: SearchResult, { print }: CliContext): Error[] {
  print(name);
  const error = errorOfItem(status);
  for (const [i, id] of ids.entries()) print(`${String(i + 1).padStart(4)}  ${id}  ${scores[i]?.toFixed(4)}`);
  return error ? [error] : [];
}
