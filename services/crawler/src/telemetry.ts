import { type CrawlerOptions, SESSION_STATES, type Sessions } from '@online-cnclip/crawl';
import { CRAWLER_TELEMETRY, type Telemetry, traceOfCall } from '@online-cnclip/service-kit';

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
