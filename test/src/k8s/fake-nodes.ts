import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from './control-plane/api.ts';
import type { Kubectl } from './control-plane/kubectl.ts';
import type { Condition, List, Pod } from './objects.ts';

const GPU = 'nvidia.com/gpu';
const POLL_MS = 200;

export interface FakeNode {
  readonly name: string;
  readonly gpus: number;
}

/** Nodes as NVIDIA's device plug-in and a cluster's operator leave them: GPUs as a resource, and a taint that keeps others away. */
export async function addNodes(kubectl: Kubectl, api: Api, nodes: readonly FakeNode[]): Promise<void> {
  await kubectl.apply(
    nodes.map(({ name, gpus }) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
      spec: { taints: gpus > 0 ? [{ key: GPU, value: 'present', effect: 'NoSchedule' }] : [] },
    })),
  );
  for (const { name, gpus } of nodes) {
    const capacity = { cpu: '128', memory: '1024Gi', pods: '110', ...(gpus > 0 && { [GPU]: String(gpus) }) };
    const status = { capacity, allocatable: capacity, conditions: [condition('Ready')] };
    await api.patch(`/api/v1/nodes/${name}/status`, { status });
  }
}

function condition(type: string): Condition & Record<string, string> {
  const now = new Date().toISOString();
  return {
    type,
    status: 'True',
    reason: 'Fake',
    message: '',
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  };
}

/** Volumes for all claims, in a class that is the default. */
export async function addVolumes(kubectl: Kubectl, count: number): Promise<void> {
  const storageClass = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'fake', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: 'kubernetes.io/no-provisioner',
  };
  const volumes = Array.from({ length: count }, (_, i) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `fake-${i}` },
    spec: {
      storageClassName: 'fake',
      capacity: { storage: '1Ti' },
      accessModes: ['ReadWriteOnce', 'ReadWriteMany'],
      nfs: { server: 'nfs.invalid', path: `/${i}` },
    },
  }));
  await kubectl.apply([storageClass, ...volumes]);
}

/**
 * Does what kubelets do, without containers: a pod that is bound to a node runs and is ready, one that is told to end ends.
 *
 * @returns once `signal` aborts.
 */
export async function runFakeKubelets(api: Api, namespace: string, signal: AbortSignal): Promise<void> {
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  let addresses = 0;
  while (!signal.aborted) {
    const { items } = await api.get<List<Pod>>(pods);
    for (const { metadata, spec, status } of items) {
      const path = `${pods}/${metadata.name}`;
      // A pod may be gone, or another of its name be there, by now: the next turn sees it as it is.
      if (metadata.deletionTimestamp !== undefined)
        await api.delete(`${path}?gracePeriodSeconds=0`).catch(() => {});
      else if (spec.nodeName !== undefined && status.phase === 'Pending')
        await api.patch(`${path}/status`, runningStatus(metadata.uid, spec, ++addresses)).catch(() => {});
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

function runningStatus(uid: string | undefined, spec: Pod['spec'], address: number): unknown {
  const ip = `10.244.${address >> 8}.${address & 0xff}`;
  return {
    metadata: { uid },
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map(condition),
      containerStatuses: spec.containers.map(({ name, image }) => ({
        ...{ name, image, imageID: '', ready: true, started: true, restartCount: 0 },
        state: { running: { startedAt: new Date().toISOString() } },
      })),
    },
  };
}
