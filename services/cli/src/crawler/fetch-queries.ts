import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createCrawlerClient } from '@online-cnclip/client';
import { type CrawlOutcome, FailureReason, QueryState } from '@online-cnclip/contracts/crawler/v1';
import { InvalidInputError, UnavailableError, writeFileAtomically } from '@online-cnclip/foundation';
import { requireQuery } from '@online-cnclip/image-cache';
import type { CliContext } from '../context.ts';
import { withClient } from '../services.ts';
import { readQueryFile } from './query-list.ts';

interface FetchOptions {
  readonly address: string;
  readonly queryFile?: string;
  readonly wanted: number;
  readonly refresh?: boolean;
  readonly output?: string;
}

/** Prints a line per query as it ends; status 1 unless each has images, or the site has none for it. */
export async function fetchQueries(
  given: readonly string[],
  options: FetchOptions,
  context: CliContext,
): Promise<void> {
  const { print, progress, stopSignal } = context;
  const queries = [
    ...given,
    ...(options.queryFile === undefined ? [] : await readQueryFile(options.queryFile)),
  ];
  if (queries.length === 0) throw new InvalidInputError('give a QUERY or --query-file', { place: 'fetch' });
  const { wanted, refresh = false, output } = options;
  const requests = queries.map((query, i) => ({ queryId: BigInt(i), query, wanted, refresh }));
  const signal = stopSignal();
  let [ended, failed] = [0, 0];
  const task = progress.start('queries', queries.length);
  try {
    await withClient(context, createCrawlerClient, options.address, async (crawler) => {
      for await (const { queryId, outcome } of crawler.crawl(requests, { signal })) {
        const query = queries[Number(queryId)] ?? '';
        if (!outcome) continue;
        ended += 1;
        if (!isFine(outcome)) failed += 1;
        if (output !== undefined && outcome.images.length > 0) await writeImages(output, query, outcome);
        print(`${query}  ${describeOutcome(outcome)}`);
        task.update(ended, failed > 0 ? `${failed} not done` : '');
      }
    });
  } finally {
    task.end();
  }
  if (failed > 0) throw new UnavailableError(`${failed} of ${queries.length} queries were not done`);
}

const isFine = ({ state }: CrawlOutcome): boolean =>
  state === QueryState.QUERY_STATE_OK || state === QueryState.QUERY_STATE_NO_RESULTS;

export function describeOutcome({ state, failure, status, retryTime, images, cached }: CrawlOutcome): string {
  const name = nameOf(QueryState, state, 'QUERY_STATE_');
  if (state === QueryState.QUERY_STATE_OK)
    return `${name}  ${images.length} ${images.length === 1 ? 'image' : 'images'}${cached ? ', cached' : ''}`;
  if (failure === FailureReason.FAILURE_REASON_UNSPECIFIED) return name;
  const retry = retryTime ? `, again from ${retryTime.toISOString()}` : '';
  return `${name}  ${nameOf(FailureReason, failure, 'FAILURE_REASON_')}: ${status?.message ?? ''}${retry}`;
}

/** As the research code lays them out. */
async function writeImages(folder: string, query: string, { images }: CrawlOutcome): Promise<void> {
  const path = join(folder, requireQuery(query).replaceAll('/', '_'));
  await mkdir(path, { recursive: true });
  for (const [i, { jpeg }] of images.entries()) await writeFileAtomically(join(path, `${i + 1}.jpg`), jpeg);
}

const nameOf = (values: Readonly<Record<string, number>>, value: number, prefix: string): string =>
  (Object.entries(values).find(([, number]) => number === value)?.[0] ?? String(value)).replace(prefix, '');
