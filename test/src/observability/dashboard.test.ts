import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { METRICS_OF_SERVICE } from '@online-cnclip/service-kit';
import { parse } from 'yaml';
import { labelsOf, metricsOf, problemsOf } from './expressions.ts';
import { readTables } from './tables.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: unknown;
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly legendFormat: string;
    readonly datasource: unknown;
  }[];
}
interface Dashboard {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: string }[];
  };
  readonly panels: readonly Panel[];
}
interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

const dashboard: Dashboard = JSON.parse(read('deploy/k8s/base/dashboard.json'));
const rules: readonly Rule[] = parse(read('deploy/k8s/base/alerts.yaml')).groups.flatMap(
  ({ rules: list }: { rules: readonly Rule[] }) => list,
);
const targets = dashboard.panels.flatMap((panel) => panel.targets ?? []);

/** Of the panel, chosen by whoever looks. */
const DATA_SOURCE = ['$', '{datasource}'].join('');

/** Grafana's columns. */
const COLUMNS = 24;

test('every expression of the dashboard reads what there is, and its legend names labels that it has', () => {
  assert.ok(targets.length > 40);
  for (const { expr, legendFormat } of targets) {
    assert.deepEqual(problemsOf(expr), [], expr);
    const labels = labelsOf(expr);
    for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
      assert.ok(labels?.has(label), `${legendFormat} of ${expr}`);
    assert.match(expr, /namespace="\$namespace"/);
  }
});

test('every metric is on the dashboard, so that a new one is not forgotten', () => {
  const shown = new Set(targets.flatMap(({ expr }) => metricsOf(expr)));
  const declared = Object.values(METRICS_OF_SERVICE)
    .flat()
    .map(({ name }) => name);
  assert.deepEqual(
    declared.filter((name) => !shown.has(name)),
    [],
  );
});

test('the dashboard is one that Grafana loads: ids, places, data source', () => {
  const { panels, templating, schemaVersion, uid } = dashboard;
  assert.ok(schemaVersion >= 36 && uid.length <= 40);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  assert.deepEqual(
    templating.list.map(({ name, type }) => [name, type]),
    [
      ['datasource', 'datasource'],
      ['namespace', 'query'],
    ],
  );
  assert.deepEqual(
    problemsOf(/\((.*), namespace\)/.exec(templating.list[1]?.query ?? '')?.[1] ?? 'none'),
    [],
  );
  const taken = new Set<string>();
  for (const { title, type, gridPos, targets: own = [], datasource } of panels) {
    const { x, y, w, h } = gridPos;
    assert.ok(x >= 0 && w > 0 && h > 0 && x + w <= COLUMNS, title);
    for (let column = x; column < x + w; column++)
      for (let line = y; line < y + h; line++) {
        assert.ok(!taken.has(`${column},${line}`), `${title} lies on another panel`);
        taken.add(`${column},${line}`);
      }
    assert.ok(type === 'row' || own.length > 0, title);
    for (const source of [...(type === 'row' ? [] : [datasource]), ...own.map((one) => one.datasource)])
      assert.deepEqual(source, { type: 'prometheus', uid: DATA_SOURCE }, title);
    assert.equal(new Set(own.map(({ refId }) => refId)).size, own.length, title);
  }
});

test('every alert reads what there is, says who it is for, and docs/operations.md says what to do', () => {
  assert.ok(rules.length > 10);
  for (const { expr, labels, annotations, alert } of rules) {
    assert.deepEqual(problemsOf(expr), [], alert);
    assert.match(labels.severity, /^(page|ticket|info)$/);
    assert.ok(annotations.summary);
  }
  const documented = readTables(read('docs/operations.md'), [
    'alarm',
    'severity',
    'what it means',
    'what to do',
  ]);
  assert.deepEqual(
    documented.map(([alert, severity]) => `${alert} ${severity}`).sort(),
    rules.map(({ alert, labels }) => `${alert} ${labels.severity}`).sort(),
  );
  for (const [alert, , meaning = '', action = ''] of documented)
    assert.ok(meaning.length > 20 && action.length > 20, alert);
});

test('the check sees what is wrong with an expression', () => {
  for (const [expression, problem] of [
    ['onlinecnclip_no_such_total', /no such metric/],
    ['onlinecnclip_rpc_duration_seconds', /not how its type is read/],
    ['onlinecnclip_rpc_in_flight_calls_count', /not how its type is read/],
    ['onlinecnclip_rpc_in_flight_calls{code="OK"}', /no label code/],
    ['sum by (tower) (onlinecnclip_rpc_in_flight_calls)', /no label tower/],
    ['rate(onlinecnclip_rpc_in_flight_calls[5m])', /no counter/],
    ['sum(up', /parentheses/],
  ] as const)
    assert.match(problemsOf(expression).join('; '), problem);
  assert.deepEqual(
    problemsOf('sum by (le, tower) (rate(onlinecnclip_encoder_batch_run_seconds_bucket[5m]))'),
    [],
  );
});
