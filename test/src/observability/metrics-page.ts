/** One metric as a service tells of it. */
export interface EmittedMetric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Of all its series, without those that the format adds (`le`, `quantile`) and `service`. */
  readonly labels: ReadonlySet<string>;
}

const ADDED_LABELS = new Set(['service', 'le', 'quantile']);

/** Reads Prometheus' text format, as far as our services use it. */
export function readMetricsPage(page: string): EmittedMetric[] {
  const metrics = new Map<string, { name: string; type: string; help: string; labels: Set<string> }>();
  for (const line of page.split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') metrics.set(name, { name, type: '', help: rest, labels: new Set() });
    const metric = metrics.get(name);
    if (kind === 'TYPE' && metric) metric.type = rest;
    const [, series = '', labels = ''] = /^([a-z]\w*)(?:\{(.*)\})? /.exec(line) ?? [];
    const owner = metrics.get(series) ?? metrics.get(series.replace(/_(bucket|sum|count)$/, ''));
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g))
      if (!ADDED_LABELS.has(label)) owner?.labels.add(label);
  }
  return [...metrics.values()];
}
