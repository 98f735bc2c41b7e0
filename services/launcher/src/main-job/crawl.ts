import { type CrawlOutcome, type CrawlRequest, QueryState } from '@online-cnclip/contracts/crawler/v1';
import { FailedPreconditionError } from '@online-cnclip/foundation';
import type { GalleryQuery } from '../galleries.ts';
import type { CrawlReport } from '../report.ts';
import type { JobContext } from './context.ts';

/** Has the crawler fetch images for every query, over one bidirectional stream. They stay in its cache. */
export async function crawlQueries(
  { clients, progress, signal }: JobContext,
  queries: readonly GalleryQuery[],
  imagesPerQuery: number,
): Promise<Omit<CrawlReport, 'seconds'>> {
  const task = progress.start('crawl', queries.length);
  function* requests(): Generator<CrawlRequest> {
    for (const { id, text } of queries)
      yield { queryId: BigInt(id), query: text, wanted: imagesPerQuery, refresh: false };
  }
  const counts = { queries: 0, cached: 0, images: 0, no_results: 0, failed: 0 };
  let trouble = '';
  for await (const { queryId, outcome } of clients.crawler.crawl(requests(), { signal })) {
    const state = outcome?.state ?? QueryState.QUERY_STATE_UNSPECIFIED;
    counts.queries++;
    counts.images += outcome?.images.length ?? 0;
    if (outcome?.cached) counts.cached++;
    if (state === QueryState.QUERY_STATE_NO_RESULTS) counts.no_results++;
    else if (state !== QueryState.QUERY_STATE_OK) {
      counts.failed++;
      trouble ||= `query ${queryId}: ${reasonOf(outcome)}`;
    }
    task.update(counts.queries, `${counts.images} images`);
  }
  if (counts.images === 0)
    throw new FailedPreconditionError(`no image for any query; ${trouble || 'the shop has no results'}`, {
      place: 'crawl',
    });
  const without = [`${counts.no_results} without results`, `${counts.failed} failed`].join(', ');
  task.finish(`${counts.images} images for ${counts.queries} queries, ${without}`);
  if (trouble) progress.note(`the first query that failed: ${trouble}`);
  return counts;
}

const reasonOf = (outcome: CrawlOutcome | undefined): string =>
  outcome?.status?.message || 'it ended without a reason';
