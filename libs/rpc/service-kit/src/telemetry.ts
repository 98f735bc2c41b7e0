import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** A metric as it is declared before anything emits it: one list per service, in its `telemetry.ts`. */
export interface MetricSpec<L extends string = string> {
  /** Ends with the unit, as Prometheus has it: `_seconds`, `_bytes`, `_total`, or the things counted. */
  readonly name: string;
  /** What it says, for whoever draws the chart. */
  readonly help: string;
  readonly labels?: readonly L[];
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[];
}

/** The metrics that every service has. */
export const RPC_TELEMETRY = {
  duration: {
    name: 'onlinecnclip_rpc_duration_seconds',
    help: 'Time from the arrival of a call to the end of its handler, by method and gRPC status code',
    labels: ['method', 'code'],
    // A tokenizer's answer takes 0.2 ms, a batch of images seconds, a watched run hours.
    buckets: [0.0005, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600, 3600],
  },
  inFlight: {
    name: 'onlinecnclip_rpc_in_flight_calls',
    help: 'Calls whose handler has not ended',
    labels: ['method'],
  },
  received: {
    name: 'onlinecnclip_rpc_received_messages_total',
    help: 'Request messages handed to handlers',
    labels: ['method'],
  },
  sent: {
    name: 'onlinecnclip_rpc_sent_messages_total',
    help: 'Response messages from handlers',
    labels: ['method'],
  },
  refused: {
    name: 'onlinecnclip_rpc_refused_calls_total',
    help: 'Calls refused because the service was draining',
    labels: ['method'],
  },
} as const satisfies Record<string, MetricSpec>;

/** What the admission of calls by their cost tells, see docs/flow-control.md. */
export const ADMISSION_TELEMETRY = {
  running: {
    name: 'onlinecnclip_rpc_admitted_cost',
    help: 'Cost of the calls and messages that are worked on, in the unit of their budget',
    labels: ['budget'],
  },
  waiting: {
    name: 'onlinecnclip_rpc_queued_cost',
    help: 'Cost of the calls and messages that wait for their turn, in the unit of their budget',
    labels: ['budget'],
  },
  waitingCalls: {
    name: 'onlinecnclip_rpc_queued_calls',
    help: 'Calls and messages of streams that wait for their turn',
    labels: ['budget'],
  },
  refused: {
    name: 'onlinecnclip_rpc_admission_refusals_total',
    help: 'Calls refused with RESOURCE_EXHAUSTED before anything was done for them, by what was full',
    labels: ['budget', 'reason'],
  },
} as const satisfies Record<string, MetricSpec>;

/** The metrics of who is let in. */
export const SECURITY_TELEMETRY = {
  refused: {
    name: 'onlinecnclip_security_refused_total',
    help: 'Connections, calls and readings of metrics refused for what their caller is; the log says why',
    labels: ['what'],
  },
  expiry: {
    name: 'onlinecnclip_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate in use expires, in seconds since 1970; absent with plain text',
  },
} as const satisfies Record<string, MetricSpec>;

/** The metrics of one service, in a registry of its own so that several services fit into one process (tests). */
export class Telemetry {
  readonly registry = new Registry();

  constructor(service: string) {
    this.registry.setDefaultLabels({ service });
  }

  /** Adds the process's own metrics (CPU, memory, event loop, garbage collection). Once per process is enough. */
  collectProcessMetrics(): void {
    collectDefaultMetrics({ register: this.registry });
  }

  counter<L extends string>(spec: MetricSpec<L>): Counter<L> {
    return new Counter({ ...this.#options(spec) });
  }

  /** @param read where given, is asked for the value at each scrape: the depth of a queue, say. */
  gauge<L extends string>(spec: MetricSpec<L>, read?: () => number | Promise<number>): Gauge<L> {
    const gauge: Gauge<L> = new Gauge({
      ...this.#options(spec),
      ...(read && { collect: async () => gauge.set(await read()) }),
    });
    return gauge;
  }

  /** A gauge with labels. @param read asked at each scrape for all that it is to tell. */
  gauges<L extends string>(
    spec: MetricSpec<L>,
    read: () => readonly { readonly labels: Readonly<Record<L, string>>; readonly value: number }[],
  ): void {
    const gauge: Gauge<L> = new Gauge({
      ...this.#options(spec),
      collect: () => {
        gauge.reset();
        for (const { labels, value } of read()) gauge.set(labels, value);
      },
    });
  }

  /** A metric that is always 1 and says something by its labels. @param read asked at each scrape; undefined: no such thing now. */
  info<L extends string>(spec: MetricSpec<L>, read: () => Readonly<Record<L, string>> | undefined): void {
    this.gauges(spec, () => {
      const labels = read();
      return labels ? [{ labels, value: 1 }] : [];
    });
  }

  histogram<L extends string>(spec: MetricSpec<L>): Histogram<L> {
    return new Histogram({ ...this.#options(spec), ...(spec.buckets && { buckets: [...spec.buckets] }) });
  }

  #options<L extends string>({ name, help, labels = [] }: MetricSpec<L>) {
    return { name, help, labelNames: [...labels], registers: [this.registry] };
  }
}
