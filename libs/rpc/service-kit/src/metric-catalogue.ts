import type { MetricSpec } from './telemetry.ts';

/** What tracing tells of itself; there where it is switched on. */
export const TRACING_TELEMETRY = {
  spans: {
    name: 'onlinecnclip_trace_spans_total',
    help: 'Spans sent to the collector, or lost because it did not take them',
    labels: ['result'],
  },
} as const satisfies Record<string, MetricSpec>;
