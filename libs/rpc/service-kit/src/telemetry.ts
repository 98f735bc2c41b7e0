import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { MetricSpec } from './metric-catalogue.ts';

/** One series of a gauge at a scrape. */
interface Reading<L extends string> {
  readonly labels: Readonly<Record<L, string>>;
  readonly value: number;
}

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
    read: () => Promise<readonly Reading<L>[]> | readonly Reading<L>[],
  ): void {
    const gauge: Gauge<L> = new Gauge({
      ...this.#options(spec),
      collect: async () => {
        const readings = await read();
        gauge.reset();
        for (const { labels, value } of readings) gauge.set(labels, value);
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
