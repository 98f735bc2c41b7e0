import type { IndexCatalog } from '@online-cnclip/retrieval';
import type { MetricSpec, Telemetry } from '@online-cnclip/service-kit';

/** The ranker's own metrics, beside those of every service. */
export const RANKER_TELEMETRY = {
  indexes: {
    name: 'onlinecnclip_ranker_indexes',
    help: 'Indexes in memory',
  },
  items: {
    name: 'onlinecnclip_ranker_items',
    help: 'Items of all indexes',
  },
  snapshots: {
    name: 'onlinecnclip_ranker_snapshot_seconds',
    help: 'Time that saving the changed indexes took',
    buckets: [0.01, 0.05, 0.2, 1, 5, 20, 60],
  },
} as const satisfies Record<string, MetricSpec>;

const MS_PER_SECOND = 1_000;

export function observeCatalog(telemetry: Telemetry, catalog: IndexCatalog): void {
  telemetry.gauge(RANKER_TELEMETRY.indexes, () => catalog.list().length);
  telemetry.gauge(RANKER_TELEMETRY.items, () =>
    catalog.list().reduce((items, { index }) => items + index.size, 0),
  );
}

/** @returns what is to be told of each saving. */
export function observeSnapshots(telemetry: Telemetry): (durationMs: number) => void {
  const seconds = telemetry.histogram(RANKER_TELEMETRY.snapshots);
  return (durationMs) => seconds.observe(durationMs / MS_PER_SECOND);
}
