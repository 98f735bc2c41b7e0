import type { MetricSpec } from './telemetry.ts';

/** What every process tells of itself. */
export const PROCESS_TELEMETRY = {
  build: {
    name: 'onlinecnclip_build_info',
    help: 'What runs; always 1',
    labels: ['version', 'node'],
  },
} as const satisfies Record<string, MetricSpec>;

/** What tracing tells of itself; there where it is switched on. */
export const TRACING_TELEMETRY = {
  spans: {
    name: 'onlinecnclip_trace_spans_total',
    help: 'Spans sent to the collector, or lost because it did not take them',
    labels: ['result'],
  },
} as const satisfies Record<string, MetricSpec>;
