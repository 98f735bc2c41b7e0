// What the overlays say, compared with what they speak of: the services' settings, ports, metrics and version.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { controlPlaneOrSkip } from './control-plane/binary.ts';
import { Kubectl } from './control-plane/kubectl.ts';
import type { Container, Manifest, PodSpec, Workload } from './objects.ts';
import {
  OVERLAYS,
  overlayPath,
  RUNS,
  render,
  root,
  runPath,
  variableOf,
  workloadOf,
  workloadsOf,
} from './overlays.ts';

const SERVICES = ['console', 'crawler', 'encoder', 'ranker', 'trainer'];
/** As torchrun names them. */
const RANK_VARIABLES = ['MASTER_ADDR', 'MASTER_PORT', 'RANK', 'WORLD_SIZE'];

const TLS_FOLDER = '/run/secrets/tls';
const TLS_VARIABLES = ['TLS_CERTIFICATE', 'TLS_KEY', 'TLS_CA', 'TLS_CRL'];
const TLS_PATHS = ['tls.crt', 'tls.key', 'ca.crt', 'ca.crl'].map((file) => `${TLS_FOLDER}/${file}`);

const { path, skip } = controlPlaneOrSkip(process.env);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

suite('manifests', { skip }, async () => {
  const kubectl = new Kubectl(path);
  for (const overlay of OVERLAYS) {
    const manifests = await render(kubectl, overlayPath(overlay));
    suite(overlay, () => testOverlay(manifests, overlay));
  }
  for (const run of RUNS) {
    const manifests = await render(kubectl, runPath(run));
    suite(`train/${run}`, () => testRun(manifests, run));
  }
});

function testOverlay(manifests: readonly Manifest[], overlay: string): void {
  test('every service is there, each with one container of its image and version', () => {
    const workloads = workloadsOf(manifests);
    assert.deepEqual(workloads.map(({ metadata }) => metadata.name).sort(), SERVICES);
    for (const workload of workloads) {
      const variant = overlay === 'gpu' && workload.metadata.name === 'trainer' ? '-gpu' : '';
      const image = `online-cnclip/${workload.metadata.name}${variant}:${version}`;
      assert.deepEqual(
        workload.spec.template.spec.containers.map((one) => one.image),
        [image],
      );
    }
  });

  test('WORLD_SIZE is the number of trainer replicas, and rank 0 is the meeting point', () => {
    const trainer = workloadOf(manifests, 'trainer');
    assert.equal(variableOf(trainer, 'WORLD_SIZE'), String(trainer.spec.replicas));
    const names = containerOf(trainer).env?.map(({ name }) => name) ?? [];
    assert.deepEqual(names.filter((name) => RANK_VARIABLES.includes(name)).sort(), RANK_VARIABLES);
    assert.equal(variableOf(trainer, 'MASTER_ADDR'), 'trainer-0.trainer-replicas');
    assert.ok(
      manifests.some(({ kind, metadata }) => kind === 'Service' && metadata.name === 'trainer-replicas'),
    );
  });

  test('every setting exists in its service', () => {
    for (const workload of workloadsOf(manifests)) {
      const known = settingsOf(workload.metadata.name);
      const set = variablesOf(manifests, workload).filter((name) => !RANK_VARIABLES.includes(name));
      assert.ok(set.length > 0);
      assert.deepEqual(
        set.filter((name) => !known.has(name)),
        [],
      );
    }
  });

  test('probes and scraping ask the ports that the service listens on', () => {
    for (const workload of workloadsOf(manifests)) {
      const { name } = workload.metadata;
      const { ports, startupProbe, readinessProbe, livenessProbe } = containerOf(workload);
      const [own, metrics, health] = ports.map(({ containerPort }) => containerPort);
      const variable = (suffix: string) =>
        variableOf(workload, `ONLINE_CNCLIP_${name.toUpperCase()}_${suffix}_ADDRESS`);
      assert.equal(variable('LISTEN'), `0.0.0.0:${own}`);
      assert.equal(variable('METRICS'), `0.0.0.0:${metrics}`);
      const { annotations } = workload.spec.template.metadata;
      assert.equal(annotations?.['prometheus.io/port'], String(metrics));
      assert.equal(annotations?.['prometheus.io/scheme'], 'https');
      if (name === 'console') {
        for (const probe of [readinessProbe, livenessProbe])
          assert.deepEqual([probe.httpGet?.path, probe.httpGet?.scheme], ['/healthz', 'HTTPS']);
        continue;
      }
      // A kubelet has no certificate: health has a port of its own.
      assert.equal(variable('HEALTH'), `0.0.0.0:${health}`);
      assert.deepEqual(readinessProbe.grpc, { port: health });
      assert.deepEqual(startupProbe?.grpc, { port: health });
      // A service that waits for its model is not to be restarted for that.
      assert.deepEqual(livenessProbe.grpc, { port: health, service: 'liveness' });
    }
  });

  test('no service is without certificates, which are its own', () => {
    for (const workload of workloadsOf(manifests)) {
      const { name } = workload.metadata;
      const files = TLS_VARIABLES.map((suffix) =>
        variableOf(workload, `ONLINE_CNCLIP_${name.toUpperCase()}_${suffix}`),
      );
      assert.deepEqual(files, TLS_PATHS);
      assertSecretMounted(workload.spec.template.spec, `${name}-tls`);
      const token = variableOf(workload, `ONLINE_CNCLIP_${name.toUpperCase()}_TOKEN_FILE`);
      assert.equal(token, name === 'console' ? `${TLS_FOLDER}/token` : undefined);
      assert.ok(!variablesOf(manifests, workload).some((variable) => /ALLOW_PLAINTEXT/.test(variable)));
    }
  });

  test('no pod has more rights than it needs, nor resources without bounds', () => {
    for (const { spec } of workloadsOf(manifests)) {
      const pod = spec.template.spec;
      assert.equal(pod.automountServiceAccountToken, false);
      assert.equal(pod.securityContext['runAsNonRoot'], true);
      assert.deepEqual(pod.securityContext['seccompProfile'], { type: 'RuntimeDefault' });
      for (const { securityContext, resources } of pod.containers) {
        assert.equal(securityContext['readOnlyRootFilesystem'], true);
        assert.equal(securityContext['allowPrivilegeEscalation'], false);
        assert.deepEqual(securityContext['capabilities'], { drop: ['ALL'] });
        for (const bounds of [resources.requests, resources.limits])
          assert.ok(bounds['cpu'] && bounds['memory']);
      }
    }
  });

  test('the dashboard and the alert rules are in ConfigMaps', () => {
    const dataOf = (name: string) => manifests.find(({ metadata }) => metadata.name === name)?.data ?? {};
    const files = ['deploy/k8s/base/dashboard.json', 'deploy/k8s/base/alerts.yaml'];
    assert.deepEqual(
      [
        dataOf('online-cnclip-dashboard')['online-cnclip.json'],
        dataOf('online-cnclip-alerts')['online-cnclip.rules.yaml'],
      ],
      files.map((path) => readFileSync(join(root, path), 'utf8')),
    );
  });
}

interface JobSpec {
  readonly completions: number;
  readonly parallelism: number;
  readonly template: { readonly spec: PodSpec };
}

function testRun(manifests: readonly Manifest[], run: string): void {
  const job = manifests.find(({ kind }) => kind === 'Job') ?? assert.fail('no Job');
  const { completions, parallelism, template } = job.spec as JobSpec;
  const [container] = template.spec.containers;

  test('all replicas run at once, and WORLD_SIZE is their number', () => {
    assert.equal(parallelism, completions);
    const env = new Map(container?.env?.map(({ name, value }) => [name, value]));
    assert.equal(env.get('WORLD_SIZE'), String(completions));
    const tls = TLS_VARIABLES.map((suffix) => `ONLINE_CNCLIP_${suffix}`);
    assert.deepEqual([...env.keys()].sort(), [...RANK_VARIABLES, ...tls].sort());
    assert.deepEqual(
      tls.map((name) => env.get(name)),
      TLS_PATHS,
    );
    assertSecretMounted(template.spec, 'trainer-tls');
    assert.equal(env.get('MASTER_ADDR'), 'train-0.train');
    assert.equal(container?.image, `online-cnclip/cli${run === 'gpu' ? '-gpu' : ''}:${version}`);
  });

  test('the command line knows its arguments', () => {
    const cli = join(root, 'services/cli/bin/cnclip.mjs');
    const data = join(root, 'var/no-such-data');
    const args = (container?.args ?? []).map((arg) => arg.replace(/\/data\b/, data));
    const { status, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
    assert.notEqual(status, 0);
    // It gets as far as looking for the data.
    assert.match(stderr, /no-such-data/);
  });
}

function assertSecretMounted({ volumes, containers }: PodSpec, secretName: string): void {
  const volume = volumes.find(({ name }) => name === 'tls');
  assert.deepEqual(volume?.secret, { secretName, defaultMode: 0o440 });
  const mount = containers[0]?.volumeMounts.find(({ name }) => name === 'tls');
  assert.deepEqual(mount, { name: 'tls', mountPath: TLS_FOLDER, readOnly: true });
}

function containerOf({ spec }: Workload): Container {
  const [container] = spec.template.spec.containers;
  assert.ok(container);
  return container;
}

/** Names of all environment variables of a workload, those of its ConfigMaps included. */
function variablesOf(manifests: readonly Manifest[], workload: Workload): string[] {
  const { env = [], envFrom = [] } = containerOf(workload);
  const maps = envFrom.map(({ configMapRef }) => {
    const found = manifests.find(({ metadata }) => metadata.name === configMapRef.name);
    assert.ok(found?.data, configMapRef.name);
    return found.data;
  });
  return [...env.map(({ name }) => name), ...maps.flatMap((data) => Object.keys(data))];
}

const helpTexts = new Map<string, ReadonlySet<string>>();

/** The environment variables that a service's --help tells of. */
function settingsOf(service: string): ReadonlySet<string> {
  const known = helpTexts.get(service);
  if (known) return known;
  const entry = join(root, 'services', service, 'src/main.ts');
  const help = execFileSync(process.execPath, [entry, '--help'], { encoding: 'utf8' });
  const names = new Set(help.match(/\bONLINE_CNCLIP_[A-Z0-9_]+/g));
  helpTexts.set(service, names);
  return names;
}
