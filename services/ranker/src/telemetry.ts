import type { IndexCatalog } from '@online-cnclip/retrieval';
import { RANKER_TELEMETRY, type Telemetry } from '@online-cnclip/service-kit';

const MS_PER_SECOND = 1_000;

export function observeCatalog(telemetry: Telemetry, catalog: IndexCatalog): void {
  telemetry.gauge(RANKER_TELEMETRY.indexes, () => orUnknown(async () => (await catalog.list()).length));
  telemetry.gauge(RANKER_TELEMETRY.items, () =>
    orUnknown(async () => {
      const counts = await Promise.all((await catalog.list()).map((index) => index.count()));
      return counts.reduce((sum, count) => sum + count, 0);
    }),
  );
  telemetry.gauges(RANKER_TELEMETRY.info, async () => {
    const indexes = await catalog.list().catch(() => []);
    return indexes.map(({ name: index, fingerprint = '' }) => ({ labels: { index, fingerprint }, value: 1 }));
  });
}

/** @returns what is to be told of each commit. */
export function observeCommits(telemetry: Telemetry): (durationMs: number) => void {
  const seconds = telemetry.histogram(RANKER_TELEMETRY.commits);
  return (durationMs) => seconds.observe(durationMs / MS_PER_SECOND);
}

/** An engine that cannot be reached must not keep the other metrics from being read. */
const orUnknown = (read: () => Promise<number>): Promise<number> => read().catch(() => Number.NaN);
