import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { METRICS_OF_SERVICE, type MetricSpec, TLS_TELEMETRY } from '@online-cnclip/service-kit';
import { startFakeCollector } from '@online-cnclip/service-kit/testing';
import { type EmittedMetric, readMetricsPage } from './metrics-page.ts';
import { ServiceStack } from './stack.ts';
import { readTables } from './tables.ts';

/** A guard against a hang, not a measure. */
const TIMEOUT_MS = 300_000;
const operations = readFileSync(
  fileURLToPath(new URL('../../../docs/operations.md', import.meta.url)),
  'utf8',
);

/** What Node and the operating system tell of any process, by prom-client. */
const isOfProcess = (name: string): boolean => /^(process|nodejs)_/.test(name);

/** The services of this test have none. */
const OF_CERTIFICATES: ReadonlySet<string> = new Set(Object.values(TLS_TELEMETRY).map(({ name }) => name));

type ServiceName = keyof typeof METRICS_OF_SERVICE;
const names = Object.keys(METRICS_OF_SERVICE) as ServiceName[];
const catalogue = new Map<string, MetricSpec>(
  Object.values(METRICS_OF_SERVICE)
    .flat()
    .map((spec) => [spec.name, spec]),
);

describe('metrics', { timeout: TIMEOUT_MS }, () => {
  const stack = new ServiceStack();
  const emitted = new Map<ServiceName, EmittedMetric[]>();

  before(async () => {
    const collector = await startFakeCollector();
    const pages = names.map(async (name) => {
      const data = name === 'console' ? {} : { 'data-folder': stack.dataFolder };
      const { metrics, stop } = await stack.start(name, { ...data, 'traces-endpoint': collector.endpoint });
      const page = await fetch(`http://${metrics}/metrics`);
      emitted.set(name, readMetricsPage(await page.text()));
      assert.equal(await stop(), 0, name);
    });
    await Promise.all(pages);
    collector.close();
  });
  after(() => stack.close());

  for (const name of names)
    test(`the ${name} emits what is declared, all of it and nothing else`, () => {
      const own = (emitted.get(name) ?? []).filter((metric) => !isOfProcess(metric.name));
      assert.deepEqual(
        own.map((metric) => metric.name).sort(),
        METRICS_OF_SERVICE[name]
          .map((spec) => spec.name)
          .filter((metric) => !OF_CERTIFICATES.has(metric))
          .sort(),
      );
      for (const metric of own) {
        const spec = catalogue.get(metric.name);
        assert.equal(metric.help, spec?.help);
        for (const label of metric.labels)
          assert.ok(spec?.labels?.includes(label), `${metric.name} ${label}`);
      }
    });

  test('the tables of docs/operations.md have every metric with its type, labels and meaning, and no other', () => {
    const types = new Map([...emitted.values()].flat().map(({ name, type }) => [name, type]));
    const documented = readTables(operations, ['metric', 'type', 'labels', 'what it says']);
    const rows = documented.map(
      ([name = '', type, labels, meaning]) => [name, { type, labels, meaning }] as const,
    );
    assert.equal(new Set(rows.map(([name]) => name)).size, rows.length, 'a metric is there twice');
    const expected = [...catalogue.values()].map(
      ({ name, labels = [], help }) =>
        [name, { type: types.get(name) ?? 'gauge', labels: labels.join(', '), meaning: help }] as const,
    );
    const sorted = (entries: readonly (readonly [string, unknown])[]) =>
      Object.fromEntries([...entries].sort());
    assert.deepEqual(sorted(rows), sorted(expected));
  });

  test('names end with what they count, and every metric has a reason', () => {
    const units =
      /_(seconds|bytes|total|info|calls|runs|steps|nats|ratio|pairs|queries|sessions|texts|images|items|indexes|streams|cost|percent|pairs_per_second)$/;
    for (const { name, help } of catalogue.values()) {
      assert.match(name, /^onlinecnclip_[a-z0-9_]+$/);
      assert.match(name, units);
      assert.ok(help.length > 5 && !help.endsWith('.'), help);
    }
  });
});
