// Who reaches whom by a set of NetworkPolicies, as a network plug-in that enforces them decides it.
import type { Manifest } from './objects.ts';

export interface Endpoint {
  readonly namespace: string;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Port {
  readonly name?: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly number: number;
}

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values: readonly string[];
  }[];
}

interface Peer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string; readonly except: readonly string[] };
}

interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly { readonly protocol: string; readonly port: number | string }[];
}

interface Policy {
  readonly podSelector: Selector;
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

export interface Network {
  /** Whether a connection is let through on both sides. */
  reaches(from: Endpoint, to: Endpoint, port: Port): boolean;
  /** The address blocks outside the cluster that an endpoint may connect to. */
  blocksOf(from: Endpoint): readonly NonNullable<Peer['ipBlock']>[];
}

/** @param namespace the one that the policies are in: others have none. */
export function networkOf(manifests: readonly Manifest[], namespace: string): Network {
  const policies = manifests
    .filter(({ kind }) => kind === 'NetworkPolicy')
    .map(({ spec }) => spec as unknown as Policy);
  const about = (endpoint: Endpoint, type: 'Ingress' | 'Egress') =>
    endpoint.namespace === namespace
      ? policies.filter(
          ({ podSelector, policyTypes }) =>
            policyTypes.includes(type) && selects(podSelector, endpoint.labels),
        )
      : [];
  const egress = (from: Endpoint, to: Endpoint, port: Port) => {
    const applying = about(from, 'Egress');
    return (
      applying.length === 0 ||
      applying.some((policy) => policy.egress?.some((rule) => lets(rule, rule.to, to, port)))
    );
  };
  const ingress = (from: Endpoint, to: Endpoint, port: Port) => {
    const applying = about(to, 'Ingress');
    return (
      applying.length === 0 ||
      applying.some((policy) => policy.ingress?.some((rule) => lets(rule, rule.from, from, port)))
    );
  };
  const lets = (rule: Rule, peers: readonly Peer[] | undefined, other: Endpoint, port: Port): boolean =>
    (peers?.some((peer) => isPeer(peer, other)) ?? true) &&
    (rule.ports?.some(
      (one) => one.protocol === port.protocol && (one.port === port.number || one.port === port.name),
    ) ??
      true);
  const isPeer = ({ podSelector, namespaceSelector, ipBlock }: Peer, other: Endpoint): boolean => {
    // Pods are never selected by address.
    if (ipBlock !== undefined) return false;
    const inNamespace =
      namespaceSelector === undefined
        ? other.namespace === namespace
        : selects(namespaceSelector, other.namespaceLabels);
    return inNamespace && (podSelector === undefined || selects(podSelector, other.labels));
  };
  return {
    reaches: (from, to, port) => egress(from, to, port) && ingress(from, to, port),
    blocksOf: (from) =>
      about(from, 'Egress').flatMap(({ egress: rules = [] }) =>
        rules.flatMap(({ to = [] }) => to.flatMap(({ ipBlock }) => (ipBlock ? [ipBlock] : []))),
      ),
  };
}

function selects(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }) => {
      if (operator !== 'In') throw new Error(`operator ${operator} is not understood here`);
      return values.includes(labels[key] ?? '');
    })
  );
}
