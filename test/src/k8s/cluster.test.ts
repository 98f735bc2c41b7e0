// The manifests against a real API server, controllers and scheduler, on nodes that are nothing but objects.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlPlaneOrSkip } from './control-plane/binary.ts';
import { type ControlPlane, startControlPlane } from './control-plane/control-plane.ts';
import { addNodes, addVolumes, runFakeKubelets } from './fake-nodes.ts';
import type { List, Pod } from './objects.ts';
import { NAMESPACE, OVERLAYS, overlayPath, RUNS, render, root, runPath } from './overlays.ts';

const GPUS_PER_NODE = 8;
const GPU_NODES = ['gpu-0', 'gpu-1'];
const CPU_NODES = ['cpu-0', 'cpu-1'];
const ALL_GPUS = GPUS_PER_NODE * GPU_NODES.length;
/** Far more than it takes: for a machine that does much else besides. */
const WAIT_MS = 120_000;
const POLL_MS = 200;

const { path, skip } = controlPlaneOrSkip(process.env);

suite('Kubernetes', { skip }, () => {
  const stopping = new AbortController();
  let plane: ControlPlane;
  let kubelets: Promise<void>;

  before(async () => {
    plane = await startControlPlane(path);
    const { kubectl, api } = plane;
    const nodes = [
      ...GPU_NODES.map((name) => ({ name, gpus: GPUS_PER_NODE })),
      ...CPU_NODES.map((name) => ({ name, gpus: 0 })),
    ];
    await addNodes(kubectl, api, nodes);
    await addVolumes(kubectl, 4);
    const manifests = await render(kubectl, overlayPath('gpu'));
    await kubectl.apply(manifests.filter(({ kind }) => kind === 'Namespace'));
    kubelets = runFakeKubelets(api, NAMESPACE, stopping.signal);
  });

  after(async () => {
    stopping.abort();
    await kubelets;
    await plane?.stop();
  });

  const podsOf = async (name: string): Promise<readonly Pod[]> => {
    const selector = encodeURIComponent(`app.kubernetes.io/name=${name}`);
    const path = `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=${selector}`;
    return (await plane.api.get<List<Pod>>(path)).items;
  };

  const nodeOf = ({ spec }: Pod): string => spec.nodeName ?? '';

  /** The trainer's pods, once so many are bound to nodes and none is ending. */
  const boundTrainers = (count: number): Promise<readonly Pod[]> =>
    until(`${count} trainers bound`, async () => {
      const pods = await podsOf('trainer');
      assert.deepEqual(
        pods.filter(({ metadata }) => metadata.deletionTimestamp).map(({ metadata }) => metadata.name),
        [],
      );
      assert.equal(pods.filter(({ spec }) => spec.nodeName !== undefined).length, count);
      return pods;
    });

  const paths = [...OVERLAYS.map(overlayPath), ...RUNS.map(runPath)];
  for (const folder of paths)
    test(`the API server takes ${relative(root, folder)} without a warning`, async () => {
      const applied = (await render(plane.kubectl, folder)).length;
      const { stdout, stderr } = await plane.kubectl.run([
        ...['apply', '--dry-run=server', '--kustomize', folder],
      ]);
      assert.equal(stderr, '');
      const lines = stdout.split('\n').filter((line) => line.endsWith('(server dry run)'));
      assert.equal(lines.length, applied, stdout);
    });

  test('the dry run sees a wrong value, an unknown field and a pod with too many rights', async () => {
    const pod = (spec: object) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'wrong', namespace: NAMESPACE },
      spec: { containers: [{ name: 'wrong', image: 'wrong:1', ...spec }] },
    });
    const dryRun = (spec: object) => plane.kubectl.apply([pod(spec)], '--dry-run=server');
    await assert.rejects(dryRun({ ports: [{ containerPort: 295_000 }] }), /must be between 1 and 65535/);
    await assert.rejects(dryRun({ port: 80 }), /unknown field "port"/);
    await assert.rejects(dryRun({}), /violates PodSecurity "restricted/);
  });

  test('every pod of the gpu overlay finds a node, each trainer with a GPU of its own', async () => {
    await plane.kubectl.run(['apply', '--kustomize', overlayPath('gpu')]);
    const trainers = await boundTrainers(8);
    for (const trainer of trainers) {
      assert.equal(trainer.spec.containers[0]?.resources.limits['nvidia.com/gpu'], '1');
      assert.ok(GPU_NODES.includes(nodeOf(trainer)), nodeOf(trainer));
    }
    assertGpusSuffice(trainers);
    // Half on each node, since the spread is even.
    assert.equal(trainers.filter((trainer) => nodeOf(trainer) === 'gpu-0').length, 4);
    for (const [name, replicas] of [
      ['encoder', 2],
      ['ranker', 1],
      ['crawler', 1],
      ['console', 1],
    ] as const)
      await until(`${replicas} ${name} bound`, async () => {
        const nodes = (await podsOf(name)).map(nodeOf).filter((node) => CPU_NODES.includes(node));
        assert.equal(nodes.length, replicas);
      });
  });

  test('clients of the trainer reach rank 0 and none else', async () => {
    await until('endpoint of rank 0', async () => {
      const selector = encodeURIComponent('kubernetes.io/service-name=trainer');
      const path = `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices?labelSelector=${selector}`;
      type Slice = { readonly endpoints: readonly { readonly targetRef: { readonly name: string } }[] };
      const slices = (await plane.api.get<List<Slice>>(path)).items;
      const names = slices.flatMap(({ endpoints }) => endpoints.map(({ targetRef }) => targetRef.name));
      assert.deepEqual(names, ['trainer-0']);
    });
  });

  test('a run as a Job has a pod for each rank, each with a GPU of its own beside the trainers', async () => {
    await plane.kubectl.run(['apply', '--kustomize', runPath('gpu')]);
    await until('8 replicas bound', async () => {
      const replicas = await podsOf('train');
      assert.equal(replicas.filter((pod) => GPU_NODES.includes(nodeOf(pod))).length, 8);
      assertGpusSuffice([...replicas, ...(await podsOf('trainer'))]);
      const index = 'batch.kubernetes.io/job-completion-index';
      const ranks = replicas.map(({ metadata, spec }) => [
        ...[spec.hostname, spec.subdomain, metadata.labels?.[index]],
      ]);
      const expected = replicas.map((_, i) => [`train-${i}`, 'train', String(i)]);
      assert.deepEqual(ranks.sort(), expected);
    });
    await plane.kubectl.run(['delete', '--kustomize', runPath('gpu'), '--wait=false']);
  });

  test('all GPUs can be taken; one replica more stays pending and says why', async () => {
    await applyTrainers(plane, ALL_GPUS);
    await rolledOut(plane);
    assertGpusSuffice(await boundTrainers(ALL_GPUS));
    await applyTrainers(plane, ALL_GPUS + 1);
    await until('the last trainer unschedulable', async () => {
      const pods = await podsOf('trainer');
      assert.equal(pods.length, ALL_GPUS + 1);
      assertGpusSuffice(pods);
      const [pending, ...others] = pods.filter(({ spec }) => spec.nodeName === undefined);
      assert.equal(others.length, 0);
      const scheduled = pending?.status.conditions?.find(({ type }) => type === 'PodScheduled');
      assert.equal(scheduled?.reason, 'Unschedulable');
      assert.match(scheduled?.message ?? '', /\d Insufficient nvidia\.com\/gpu/);
    });
    await applyTrainers(plane, ALL_GPUS);
    await rolledOut(plane);
    await boundTrainers(ALL_GPUS);
  });

  test('a number of trainers that WORLD_SIZE does not follow is refused', async () => {
    const namespace = ['--namespace', NAMESPACE];
    const size = String(ALL_GPUS - 1);
    await assert.rejects(
      plane.kubectl.run([...namespace, 'scale', 'statefulset/trainer', `--replicas=${size}`]),
      /set the trainer's replicas in its overlay/,
    );
    const patch = `--patch={"spec":{"replicas":${size}}}`;
    await assert.rejects(
      plane.kubectl.run([...namespace, 'patch', 'statefulset/trainer', patch]),
      /WORLD_SIZE is not its number of replicas/,
    );
    // Others may be scaled.
    await plane.kubectl.run([...namespace, 'scale', 'statefulset/crawler', '--replicas=1']);
  });

  test('a rolling restart and the loss of a pod keep every rank', async () => {
    const before = await boundTrainers(ALL_GPUS);
    assertRanks(before, ALL_GPUS);
    await plane.kubectl.run(['--namespace', NAMESPACE, 'rollout', 'restart', 'statefulset/trainer']);
    await rolledOut(plane);
    const restarted = await boundTrainers(ALL_GPUS);
    assertRanks(restarted, ALL_GPUS);
    const uids = new Set(before.map(({ metadata }) => metadata.uid));
    assert.ok(restarted.every(({ metadata }) => !uids.has(metadata.uid)));

    const lost = restarted.find(({ metadata }) => metadata.name === 'trainer-3');
    await plane.kubectl.run(['--namespace', NAMESPACE, 'delete', 'pod', 'trainer-3', '--wait=false']);
    await until('trainer-3 again', async () => {
      const pods = await boundTrainers(ALL_GPUS);
      assertRanks(pods, ALL_GPUS);
      const found = pods.find(({ metadata }) => metadata.name === 'trainer-3');
      assert.notEqual(found?.metadata.uid, lost?.metadata.uid);
    });
  });
});

/** The gpu overlay with another number of trainers, as an operator would write it (docs/deployment.md). */
async function applyTrainers({ kubectl }: ControlPlane, count: number): Promise<void> {
  const folder = join(root, 'var/k8s-test');
  mkdirSync(folder, { recursive: true });
  const kustomization = {
    resources: ['../../deploy/k8s/overlays/gpu'],
    replicas: [{ name: 'trainer', count }],
    replacements: [
      {
        source: { kind: 'StatefulSet', name: 'trainer', fieldPath: 'spec.replicas' },
        targets: [
          {
            select: { kind: 'StatefulSet', name: 'trainer' },
            fieldPaths: ['spec.template.spec.containers.[name=trainer].env.[name=WORLD_SIZE].value'],
          },
        ],
      },
    ],
  };
  writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
  await kubectl.run(['apply', '--kustomize', folder]);
  rmSync(folder, { recursive: true });
}

async function rolledOut({ kubectl }: ControlPlane): Promise<void> {
  const timeout = `--timeout=${WAIT_MS / 1_000}s`;
  await kubectl.run(['--namespace', NAMESPACE, 'rollout', 'status', 'statefulset/trainer', timeout]);
}

function assertGpusSuffice(pods: readonly Pod[]): void {
  for (const node of GPU_NODES) {
    const count = pods.filter(({ spec }) => spec.nodeName === node).length;
    assert.ok(count <= GPUS_PER_NODE, `${count} trainers on the ${GPUS_PER_NODE} GPUs of ${node}`);
  }
}

/** RANK is the pod-index label, by the downward API: each once, and that of the pod's name. */
function assertRanks(pods: readonly Pod[], worldSize: number): void {
  const ranks = new Map<string, string | undefined>();
  for (const { metadata, spec } of pods) {
    const rank = spec.containers[0]?.env?.find(({ name }) => name === 'RANK')?.valueFrom;
    const fieldPath = "metadata.labels['apps.kubernetes.io/pod-index']";
    assert.deepEqual(rank, { fieldRef: { apiVersion: 'v1', fieldPath } });
    ranks.set(metadata.name, metadata.labels?.['apps.kubernetes.io/pod-index']);
    const size = spec.containers[0]?.env?.find(({ name }) => name === 'WORLD_SIZE')?.value;
    assert.equal(size, String(worldSize), metadata.name);
  }
  const expected = Array.from({ length: worldSize }, (_, i) => [`trainer-${i}`, String(i)] as const);
  assert.deepEqual([...ranks].sort(), [...expected].sort());
}

/** Repeats what asserts until it holds. @throws the last AssertionError, with what was waited for. */
async function until<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  while (true)
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof assert.AssertionError)) throw error;
      if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`, { cause: error });
      await sleep(POLL_MS);
    }
}
