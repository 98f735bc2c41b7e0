import { setMaxListeners } from 'node:events';
import type { CrawlerClient } from '@online-cnclip/client';
import { CrawlRequest } from '@online-cnclip/contracts/crawler/v1';
import {
  InvalidInputError,
  messageOf,
  NotFoundError,
  ResourceExhaustedError,
} from '@online-cnclip/foundation';
import { outcomeView } from '../views/crawl-view.ts';
import type { CrawlForm, CrawlView, QueryOutcome, QueryStateName } from '../wire.ts';

/** A crawl at 8 s a query and session takes hours beyond this; larger ones are the command line's. */
export const MAX_QUERIES = 2_000;
/** The contract's limit of a query. */
export const MAX_QUERY_LENGTH = 256;
export const MAX_WANTED = 100;
/** Crawls at once: they share the crawler's sessions and rate, so that more would only be slower each. */
const MAX_RUNNING = 4;
/** Crawls that are remembered once they have ended. */
const MAX_KEPT = 20;
const MAX_RECENT = 50;

/** One crawl that a page has asked for. It goes on when the page is closed. */
interface Job {
  view: CrawlView;
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

/** The crawls started from the console, by their ids; in memory only (what was fetched is in the crawler's cache). */
export class CrawlJobs {
  readonly #crawler: CrawlerClient;
  readonly #jobs = new Map<string, Job>();
  readonly #changes = new EventTarget();
  #lastId = 0;

  constructor(crawler: CrawlerClient) {
    this.#crawler = crawler;
    // One listener for each page that watches: their number has a limit of its own.
    setMaxListeners(0, this.#changes);
  }

  /** Emits an event `change` whose detail is the {@link CrawlView}. */
  get changes(): EventTarget {
    return this.#changes;
  }

  /** The latest first. */
  list(): CrawlView[] {
    return [...this.#jobs.values()].map(({ view }) => view).reverse();
  }

  /** @throws InvalidInputError naming the query, ResourceExhaustedError. */
  start(form: CrawlForm): CrawlView {
    const queries = checkQueries(form);
    const running = this.list().filter(({ state }) => state === 'running').length;
    if (running >= MAX_RUNNING)
      throw new ResourceExhaustedError(`${running} crawls are going on already; wait for one or cancel it`);
    this.#lastId += 1;
    const id = String(this.#lastId);
    const controller = new AbortController();
    const view = emptyView(id, queries.length);
    // The entry is there before the first outcome comes.
    const ended = Promise.resolve().then(() => this.#run(id, { ...form, queries }, controller.signal));
    this.#jobs.set(id, { view, controller, ended });
    this.#forget();
    this.#change(id, (same) => same);
    return view;
  }

  /** @throws NotFoundError when there is no such crawl. */
  async cancel(id: string): Promise<CrawlView> {
    const job = this.#jobs.get(id);
    if (!job) throw new NotFoundError('no such crawl', { place: id });
    job.controller.abort();
    await job.ended;
    return job.view;
  }

  async close(): Promise<void> {
    for (const { controller } of this.#jobs.values()) controller.abort();
    await Promise.all([...this.#jobs.values()].map(({ ended }) => ended));
  }

  async #run(id: string, { queries, wanted, refresh }: CrawlForm, signal: AbortSignal): Promise<void> {
    const requests = queries.map((query, i) =>
      CrawlRequest.fromPartial({ queryId: BigInt(i), query, wanted, refresh }),
    );
    try {
      for await (const { queryId, outcome } of this.#crawler.crawl(requests, { signal })) {
        const query = queries[Number(queryId)] ?? '';
        if (outcome) this.#change(id, (view) => withOutcome(view, outcomeView(query, outcome)));
      }
      this.#end(id, 'done', '');
    } catch (error) {
      if (signal.aborted) this.#end(id, 'cancelled', '');
      else this.#end(id, 'broken', messageOf(error));
    }
  }

  #end(id: string, state: CrawlView['state'], error: string): void {
    this.#change(id, (view) => ({ ...view, state, error, endedAt: Date.now() }));
  }

  #change(id: string, change: (view: CrawlView) => CrawlView): void {
    const job = this.#jobs.get(id);
    if (!job) return;
    job.view = change(job.view);
    this.#changes.dispatchEvent(new CustomEvent('change', { detail: job.view }));
  }

  #forget(): void {
    for (const [id, { view }] of this.#jobs) {
      if (this.#jobs.size <= MAX_KEPT) return;
      if (view.state !== 'running') this.#jobs.delete(id);
    }
  }
}

function checkQueries({ queries, wanted }: CrawlForm): string[] {
  const trimmed = queries.map((query) => query.trim()).filter(Boolean);
  if (trimmed.length === 0) throw new InvalidInputError('there is none', { place: 'queries' });
  if (trimmed.length > MAX_QUERIES)
    throw new InvalidInputError(`${trimmed.length} are over the limit of ${MAX_QUERIES}`, {
      place: 'queries',
    });
  if (wanted > MAX_WANTED)
    throw new InvalidInputError(`${wanted} is over the limit of ${MAX_WANTED}`, { place: 'wanted' });
  const long = trimmed.findIndex((query) => query.length > MAX_QUERY_LENGTH);
  if (long >= 0)
    throw new InvalidInputError(
      `has ${trimmed[long]?.length} characters, over the limit of ${MAX_QUERY_LENGTH}`,
      {
        place: `query ${long + 1}`,
      },
    );
  return trimmed;
}

const emptyView = (id: string, total: number): CrawlView => ({
  id,
  state: 'running',
  error: '',
  startedAt: Date.now(),
  endedAt: null,
  total,
  counts: { ok: 0, 'no-results': 0, deferred: 0, failed: 0 },
  images: 0,
  failures: {},
  recent: [],
});

function withOutcome(view: CrawlView, outcome: QueryOutcome): CrawlView {
  const { state, failure } = outcome;
  const counts: Record<QueryStateName, number> = { ...view.counts };
  counts[state] += 1;
  const failures =
    failure === 'none' ? view.failures : { ...view.failures, [failure]: (view.failures[failure] ?? 0) + 1 };
  const recent = [outcome, ...view.recent].slice(0, MAX_RECENT);
  return { ...view, counts, failures, images: view.images + outcome.images, recent };
}
