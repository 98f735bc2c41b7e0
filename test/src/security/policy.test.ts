// The built-in policy, compared with the contracts it speaks of, and with the page that shows it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ServiceShape } from '@online-cnclip/contracts';
import { CrawlerServiceService } from '@online-cnclip/contracts/crawler/v1';
import { EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import { RankerServiceService } from '@online-cnclip/contracts/ranker/v1';
import { ReplicaServiceService } from '@online-cnclip/contracts/replicas/v1';
import { TrainerServiceService } from '@online-cnclip/contracts/trainer/v1';
import { InvalidInputError } from '@online-cnclip/foundation';
import {
  DEFAULT_POLICY,
  isAction,
  METRICS_METHOD,
  Policy,
  parsePolicy,
  ROLES,
  type Role,
} from '@online-cnclip/security';
import { parse } from 'yaml';

const DEFINITIONS: readonly ServiceShape[] = [
  CrawlerServiceService,
  EncoderServiceService,
  RankerServiceService,
  ReplicaServiceService,
  TrainerServiceService,
];
const METHODS = DEFINITIONS.flatMap((definition) =>
  Object.values(definition).map(({ path }) => path.slice(1)),
);
const OTHERS = [
  METRICS_METHOD,
  'grpc.health.v1.Health/Check',
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
];
const policy = new Policy(DEFAULT_POLICY);
const nameOf = (method: string): string => method.split('/').at(-1) ?? '';
const allowed = (role: Role, methods = METHODS): string[] =>
  methods.filter((method) => policy.permits(role, method)).map(nameOf);

test('every method that the policy names is there', () => {
  const patterns = [...DEFAULT_POLICY.everyone, ...Object.values(DEFAULT_POLICY.roles).flat()];
  const known = [...METHODS, ...OTHERS, 'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo'];
  for (const pattern of patterns)
    assert.ok(
      known.some(
        (method) => method === pattern || (pattern.endsWith('/*') && method.startsWith(pattern.slice(0, -1))),
      ),
      pattern,
    );
});

test('clients read and never change; services do what they need of one another', () => {
  const changed = METHODS.filter((method) => policy.permits('client', method) && isAction(method));
  assert.deepEqual(changed, []);
  assert.ok(allowed('client').includes('Search') && allowed('client').includes('EncodeText'));
  for (const none of ['encoder', 'crawler', 'scraper'] as const) assert.deepEqual(allowed(none), [], none);
  assert.deepEqual(allowed('ranker').sort(), ['Encode', 'EncodeImage', 'EncodeText', 'GetModel', 'Tokenize']);
  const replicas = Object.values(ReplicaServiceService).map(({ path }) => nameOf(path));
  assert.deepEqual(
    allowed('trainer').sort(),
    ['Crawl', 'GetImages', 'GetModel', 'LoadModel', ...replicas].sort(),
  );
  const own = METHODS.filter((method) => !method.includes('ReplicaService'));
  assert.deepEqual(allowed('operator'), own.map(nameOf));
});

test('health is everybody’s, reflection the operator’s, metrics the scraper’s', () => {
  const who = (method: string) => ROLES.filter((role) => policy.permits(role, method));
  assert.deepEqual(who('grpc.health.v1.Health/Check'), [...ROLES]);
  assert.deepEqual(who('grpc.reflection.v1.ServerReflection/ServerReflectionInfo'), ['operator']);
  assert.deepEqual(who(METRICS_METHOD), ['scraper']);
  assert.deepEqual(who('onlinecnclip.encoder.v2.EncoderService/EncodeText'), [], 'what nobody thought of');
});

test('what changes anything is audited', () => {
  const actions = METHODS.filter(isAction).map(nameOf);
  for (const name of ['LoadModel', 'StartRun', 'StopRun', 'StartAdaptation', 'RollBackModel', 'BuildDataset'])
    assert.ok(actions.includes(name), name);
  for (const name of ['OpenSession', 'RetireSession', 'ResolveChallenge', 'Drain', 'Crawl'])
    assert.ok(actions.includes(name), name);
  for (const name of ['CreateIndex', 'DropIndex', 'UpsertItems', 'DeleteItems'])
    assert.ok(actions.includes(name), name);
  for (const name of ['Search', 'EncodeText', 'Tokenize', 'GetRun', 'ListRuns', 'WatchRun', 'WatchSession'])
    assert.ok(!actions.includes(name), name);
});

test('docs/security.md shows the built-in policy', () => {
  const page = readFileSync(new URL('../../../docs/security.md', import.meta.url), 'utf8');
  const [, yaml = ''] = /```yaml\n(# The built-in policy[\s\S]*?)```/.exec(page) ?? [];
  assert.deepEqual(parse(yaml), DEFAULT_POLICY);
  assert.ok(parsePolicy(yaml).permits('client', METHODS.find((method) => method.endsWith('/Search')) ?? ''));
});

test('a policy that is wrong says where', () => {
  for (const [yaml, expected] of [
    ['roles: {king: ["*"]}', /roles\.king|king/],
    ['roles: {client: [EncodeText]}', /roles\.client\.0: is not package\.Service\/Method/],
    ['rules: {}', /rules/],
    ['', /not a policy/],
    ['roles: [', /not YAML/],
  ] as const)
    assert.throws(
      () => parsePolicy(yaml),
      (error) => error instanceof InvalidInputError && expected.test(error.message),
      yaml,
    );
  const all = parsePolicy('roles: {operator: ["*"]}');
  assert.ok(all.permits('operator', 'a.B/C') && !all.permits('operator', METRICS_METHOD));
  assert.ok(!all.permits('client', 'grpc.health.v1.Health/Check'));
});
