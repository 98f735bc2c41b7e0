import { type CrawlerOptions, SESSION_STATES, type Sessions } from '@online-cnclip/crawl';
import { type MetricSpec, type Telemetry, traceOfCall } from '@online-cnclip/service-kit';

/** The crawler's own metrics, beside those of every service. */
export const CRAWLER_TELEMETRY = {
  queries: {
    name: 'onlinecnclip_crawler_queries_total',
    help: 'Queries that ended, without those answered from the cache',
    labels: ['state', 'reason'],
  },
  duration: {
    name: 'onlinecnclip_crawler_query_seconds',
    help: 'Time from the acceptance of a query to its outcome',
    buckets: [0.25, 1, 4, 10, 20, 60, 180, 600, 1800],
  },
  answers: {
    name: 'onlinecnclip_crawler_answers_total',
    help: 'Queries answered, from the cache or with a request to the site',
    labels: ['from'],
  },
  downloads: {
    name: 'onlinecnclip_crawler_downloads_total',
    help: 'Images fetched, or why not',
    labels: ['result'],
  },
  inFlight: {
    name: 'onlinecnclip_crawler_accepted_queries',
    help: 'Queries accepted that have not ended',
  },
  sessions: {
    name: 'onlinecnclip_crawler_sessions',
    help: 'Sessions by state',
    labels: ['state'],
  },
  usable: {
    name: 'onlinecnclip_crawler_usable_sessions',
    help: 'Sessions that are ready or at work',
  },
  stuck: {
    name: 'onlinecnclip_crawler_stuck_sessions',
    help: 'Sessions that wait for a person: parked, expired or suspect',
  },
} as const satisfies Record<string, MetricSpec>;

const MS_PER_SECOND = 1_000;

const LIVE_STATES = SESSION_STATES.filter((state) => state !== 'RETIRED');

/** What the stage is to tell of queries and downloads. */
export function observeQueries(
  telemetry: Telemetry,
): Required<Pick<CrawlerOptions, 'onOutcome' | 'onDownload'>> {
  const queries = telemetry.counter(CRAWLER_TELEMETRY.queries);
  const duration = telemetry.histogram(CRAWLER_TELEMETRY.duration);
  const downloads = telemetry.counter(CRAWLER_TELEMETRY.downloads);
  return {
    onOutcome: (state, reason = undefined, ms) => {
      queries.inc({ state, reason: reason ?? '' });
      duration.observe(ms / MS_PER_SECOND);
      const endedAt = performance.now();
      const attributes = { state, reason: reason ?? '' };
      traceOfCall()?.({ name: 'crawl query', startedAt: endedAt - ms, endedAt, attributes });
    },
    onDownload: (result) => downloads.inc({ result }),
  };
}

/** @returns what is to be told of each answer. */
export function observeAnswers(telemetry: Telemetry): (cached: boolean) => void {
  const answers = telemetry.counter(CRAWLER_TELEMETRY.answers);
  return (cached) => answers.inc({ from: cached ? 'cache' : 'site' });
}

export function observeSessions(telemetry: Telemetry, sessions: Sessions, inFlight: () => number): void {
  telemetry.gauge(CRAWLER_TELEMETRY.inFlight, inFlight);
  telemetry.gauges(CRAWLER_TELEMETRY.sessions, () => {
    const states = sessions.list().map(({ state }) => state);
    return LIVE_STATES.map((state) => ({
      labels: { state },
      value: states.filter((one) => one === state).length,
    }));
  });
  telemetry.gauge(CRAWLER_TELEMETRY.usable, () => sessions.list(['READY', 'LEASED']).length);
  telemetry.gauge(CRAWLER_TELEMETRY.stuck, () => sessions.list(['PARKED', 'EXPIRED', 'SUSPECT']).length);
}
