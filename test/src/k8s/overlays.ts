import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import type { Kubectl } from './control-plane/kubectl.ts';
import { isWorkload, type Manifest, type Workload } from './objects.ts';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
export const OVERLAYS = ['cpu', 'gpu', 'dev'] as const;
/** Of a run of `cnclip train` as a Job of its own. */
export const RUNS = ['cpu', 'gpu'] as const;
export const NAMESPACE = 'online-cnclip';

export const overlayPath = (name: string): string => join(root, 'deploy/k8s/overlays', name);

export const runPath = (name: string): string => join(root, 'deploy/k8s/train', name);

/** What `kubectl apply -k` would apply. */
export async function render(kubectl: Kubectl, folder: string): Promise<Manifest[]> {
  const { stdout } = await kubectl.run(['kustomize', folder]);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
}

export const workloadsOf = (manifests: readonly Manifest[]): Workload[] => manifests.filter(isWorkload);

/** @throws Error when there is none of that name. */
export function workloadOf(manifests: readonly Manifest[], name: string): Workload {
  const found = workloadsOf(manifests).find(({ metadata }) => metadata.name === name);
  if (!found) throw new Error(`no workload ${name}`);
  return found;
}

/** A fixed environment variable of a workload's only container. */
export const variableOf = ({ spec }: Workload, name: string): string | undefined =>
  spec.template.spec.containers[0]?.env?.find((one) => one.name === name)?.value;
