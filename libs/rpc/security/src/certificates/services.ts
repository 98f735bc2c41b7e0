import type { Role } from '../identity.ts';

/** Kubernetes' namespace of the services (deploy/k8s). */
const NAMESPACE = 'online-cnclip';

/** What a name is under, from the pods' own namespace to the whole cluster. */
const CLUSTER_SUFFIXES = ['', `.${NAMESPACE}`, `.${NAMESPACE}.svc`, `.${NAMESPACE}.svc.cluster.local`];

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

/** A certificate that `cnclip certs init` makes. */
export interface CertificatePlan {
  /** Its folder, and its subject's common name. */
  readonly name: string;
  readonly role: Role;
  readonly hosts: readonly string[];
}

/** Names beside a service's own: of the replica where all replicas meet, in the service and in a training job (deploy/k8s/train). */
const OTHER_NAMES: Partial<Record<Role, readonly string[]>> = {
  trainer: ['trainer-replicas', 'trainer-0.trainer-replicas', 'train', 'train-0.train'],
};

const SERVICE_ROLES = ['encoder', 'trainer', 'ranker', 'crawler', 'console'] as const;
const CALLER_ROLES = ['client', 'operator', 'scraper'] as const;

/** One certificate per service and per kind of caller. @param hosts more names of the services, of this machine say. */
export function certificatePlans(hosts: readonly string[]): readonly CertificatePlan[] {
  return [
    ...SERVICE_ROLES.map((role) => ({ name: role, role, hosts: serviceHosts(role, hosts) })),
    ...CALLER_ROLES.map((role) => ({ name: role, role, hosts: [] })),
  ];
}

function serviceHosts(role: Role, more: readonly string[]): string[] {
  const inCluster = [role, ...(OTHER_NAMES[role] ?? [])].flatMap((name) =>
    CLUSTER_SUFFIXES.map((suffix) => `${name}${suffix}`),
  );
  return [...new Set([...LOOPBACK, ...inCluster, ...more])];
}
