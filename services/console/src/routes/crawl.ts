import { once } from 'node:events';
import { ListFailuresRequest } from '@online-cnclip/contracts/crawler/v1';
import { DataLossError } from '@online-cnclip/foundation';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Clients } from '../clients.ts';
import { type CrawlJobs, MAX_QUERIES, MAX_QUERY_LENGTH } from '../crawls/crawl-jobs.ts';
import type { EventStreams } from '../http/event-stream.ts';
import { parseInput } from '../http/input.ts';
import { crawledImageView, failureView, outcomeView } from '../views/crawl-view.ts';
import type { CrawlEvents, CrawledImages, CrawlForm, CrawlView, FailureList } from '../wire.ts';

/** Failures shown at once; the contract allows 1,000. */
const MAX_FAILURES = 200;
/** Images of one query shown at once. */
const MAX_IMAGES = 100;

const crawlForm = z.object({
  // One over the limit is taken in, so that the refusal can name the number.
  queries: z.array(z.string()).max(MAX_QUERIES + 1),
  wanted: z.number().int().min(1),
  refresh: z.boolean(),
}) satisfies z.ZodType<CrawlForm>;
const imagesQuery = z.object({ query: z.string().min(1).max(MAX_QUERY_LENGTH) });

interface CrawlParams {
  readonly Params: { readonly id: string };
}

export function crawlRoutes(
  app: FastifyInstance,
  { crawler }: Clients,
  jobs: CrawlJobs,
  streams: EventStreams,
): void {
  app.post('/api/crawls', async ({ body }): Promise<CrawlView> => jobs.start(parseInput(crawlForm, body)));

  app.post<CrawlParams>(
    '/api/crawls/:id/cancel',
    async ({ params }): Promise<CrawlView> => jobs.cancel(params.id),
  );

  app.get('/api/crawls/events', (request, reply) =>
    streams.serve<CrawlEvents>(request, reply, async (stream) => {
      for await (const crawl of followCrawls(jobs, stream.signal)) await stream.send('crawl', crawl);
    }),
  );

  app.get('/api/failures', async (): Promise<FailureList> => {
    const request = ListFailuresRequest.fromPartial({ limit: MAX_FAILURES });
    const { failures, total } = await crawler.listFailures(request);
    return { failures: failures.map(failureView), total: String(total) };
  });

  app.get('/api/images', async (request): Promise<CrawledImages> => {
    const { query } = parseInput(imagesQuery, request.query);
    const { outcome } = await crawler.getImages({ query, limit: MAX_IMAGES });
    if (!outcome) throw new DataLossError('the answer holds no outcome', { place: 'crawler' });
    return { outcome: outcomeView(query, outcome), images: outcome.images.map(crawledImageView) };
  });
}

/** Every crawl as it is, then as it changes; a reader that is slower than the crawl skips what lies between. */
async function* followCrawls(jobs: CrawlJobs, signal: AbortSignal): AsyncGenerator<CrawlView, void, void> {
  const waiting = new Map(
    jobs
      .list()
      .reverse()
      .map((view) => [view.id, view]),
  );
  const listen = (event: Event): void => {
    const { detail } = event as CustomEvent<CrawlView>;
    waiting.set(detail.id, detail);
  };
  jobs.changes.addEventListener('change', listen);
  try {
    while (!signal.aborted) {
      const views = [...waiting.values()];
      waiting.clear();
      yield* views;
      if (waiting.size === 0) await once(jobs.changes, 'change', { signal }).catch(() => undefined);
    }
  } finally {
    jobs.changes.removeEventListener('change', listen);
  }
}
