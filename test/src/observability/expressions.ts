import { METRICS_OF_SERVICE, type MetricSpec, Telemetry } from '@online-cnclip/service-kit';

/** Labels that Prometheus and Kubernetes add to whatever is scraped. */
const ADDED_LABELS = ['service', 'namespace', 'pod', 'job', 'instance'];

const catalogue = new Map<string, MetricSpec>(
  Object.values(METRICS_OF_SERVICE)
    .flat()
    .map((spec) => [spec.name, spec]),
);

/** Names of what Node and the operating system tell of any process. */
function processMetrics(): ReadonlySet<string> {
  const telemetry = new Telemetry('any');
  telemetry.collectProcessMetrics();
  return new Set(telemetry.registry.getMetricsAsArray().map(({ name }) => name));
}
const ofProcess = processMetrics();

const METRIC = /\b((?:onlinecnclip|process|nodejs)_[a-z0-9_]+|up)\b(?!\s*\()(?:\{([^}]*)\})?/g;
const PART = /_(bucket|sum|count)$/;

/** Names of the catalogue that an expression of PromQL reads. */
export function metricsOf(expression: string): string[] {
  return [...expression.matchAll(METRIC)].map(([, name = '']) =>
    catalogue.has(name) ? name : name.replace(PART, ''),
  );
}

/** What is wrong with an expression of PromQL, as far as that can be told without a Prometheus. */
export function problemsOf(expression: string): string[] {
  const problems: string[] = [];
  const known = new Set(ADDED_LABELS);
  for (const [, name = '', matchers = ''] of expression.matchAll(METRIC)) {
    const base = catalogue.has(name) ? name : name.replace(PART, '');
    const spec = catalogue.get(base);
    if (!spec && name !== 'up' && !ofProcess.has(name)) problems.push(`${name}: no such metric`);
    const isHistogram = spec?.buckets !== undefined;
    if (spec && isHistogram !== (base !== name)) problems.push(`${name}: not how its type is read`);
    const labels = [...(spec?.labels ?? []), ...(name.endsWith('_bucket') ? ['le'] : [])];
    for (const label of labels) known.add(label);
    for (const [, label = ''] of matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g))
      if (![...labels, ...ADDED_LABELS].includes(label)) problems.push(`${name}: no label ${label}`);
  }
  for (const [, list = ''] of expression.matchAll(/\b(?:by|on|without|ignoring) \(([^)]*)\)/g))
    for (const label of list.split(',').map((part) => part.trim()))
      if (!known.has(label)) problems.push(`no label ${label} to go by`);
  for (const [, name = ''] of expression.matchAll(/\brate\((\w+)/g))
    if (!/_(total|bucket|sum|count)$/.test(name)) problems.push(`${name}: no counter to take the rate of`);
  const depth = [...expression].reduce((d, c) => d + (c === '(' ? 1 : c === ')' ? -1 : 0), 0);
  if (depth !== 0) problems.push('parentheses do not match');
  return problems;
}

/** Labels that an expression's result has, or undefined where that is not told by a `by`. */
export function labelsOf(expression: string): ReadonlySet<string> | undefined {
  const lists = [...expression.matchAll(/\bby \(([^)]*)\)/g)].map(([, list = '']) => list.split(/,\s*/));
  if (lists.length > 0) return new Set(lists.flat().filter((label) => label !== 'le'));
  return /^\w*\(?\w+\{/.test(expression)
    ? new Set([
        ...ADDED_LABELS,
        ...metricsOf(expression).flatMap((name) => catalogue.get(name)?.labels ?? []),
      ])
    : undefined;
}
