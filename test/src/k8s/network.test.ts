import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { suite, test } from 'node:test';
import { controlPlaneOrSkip } from './control-plane/binary.ts';
import { Kubectl } from './control-plane/kubectl.ts';
import { type Endpoint, networkOf, type Port } from './network.ts';
import { NAMESPACE, overlayPath, render, runPath, workloadOf } from './overlays.ts';

const SERVICES = ['encoder', 'trainer', 'ranker', 'crawler', 'console'] as const;
type Service = (typeof SERVICES)[number];
type Place = Service | 'train' | 'client' | 'stranger' | 'prometheus';

/** The arrows of docs/deployment.md: who may call a service's own port. */
const CALLERS: Record<Service, readonly Place[]> = {
  encoder: ['ranker', 'trainer', 'console', 'client'],
  trainer: ['trainer', 'console', 'client'],
  ranker: ['console', 'client'],
  crawler: ['trainer', 'console'],
  console: ['client'],
};

/** Addresses that mean something inside, or nothing anywhere. */
const PRIVATE = ['10.0.0.1', '10.96.0.10', '100.64.1.1', '127.0.0.1', '169.254.169.254', '172.31.0.1'].concat(
  [...['192.168.1.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '192.0.2.1', '198.18.0.1']],
);
const PRIVATE_IPV6 = [
  '::1',
  'fe80::1',
  'fd00::1',
  'ff02::1',
  '::ffff:10.0.0.1',
  '64:ff9b::a00:1',
  '2002:a00:1::',
];

const place = (name: string, namespace: string, labels: Record<string, string> = {}): Endpoint => ({
  namespace,
  namespaceLabels: { 'kubernetes.io/metadata.name': namespace, ...labels },
  labels: { 'app.kubernetes.io/name': name },
});

const PLACES: Record<Place, Endpoint> = {
  ...(Object.fromEntries(SERVICES.map((name) => [name, place(name, NAMESPACE)])) as Record<
    Service,
    Endpoint
  >),
  train: place('train', NAMESPACE),
  client: place('shop', 'shop', { 'online-cnclip/client': 'true' }),
  stranger: place('shop', 'elsewhere'),
  prometheus: place('prometheus', 'monitoring'),
};

const { path, skip } = controlPlaneOrSkip(process.env);

suite('network policies', { skip }, async () => {
  const kubectl = new Kubectl(path);
  const manifests = [
    ...(await render(kubectl, overlayPath('gpu'))),
    ...(await render(kubectl, runPath('gpu'))),
  ];
  const network = networkOf(manifests, NAMESPACE);
  const portsOf = (name: Service): Port[] =>
    (workloadOf(manifests, name).spec.template.spec.containers[0]?.ports ?? []).map((port) => ({
      ...{ name: port.name, number: port.containerPort, protocol: 'TCP' as const },
    }));
  const callersOf = (name: Service | 'train', port: Port): Place[] =>
    (Object.keys(PLACES) as Place[]).filter((from) => network.reaches(PLACES[from], PLACES[name], port));

  for (const name of SERVICES)
    test(`${name} is called by those who may, and its metrics are read by Prometheus alone`, () => {
      const [own, metrics, health] = portsOf(name);
      assert.ok(own && metrics);
      assert.deepEqual(new Set(callersOf(name, own)), new Set(CALLERS[name]));
      // Trainers reach one another on every port, that one too.
      const readers = callersOf(name, metrics).filter((from) => from !== name);
      assert.deepEqual(readers, ['prometheus']);
      // The kubelet asks from the node; no pod is let in.
      if (health)
        assert.deepEqual(
          callersOf(name, health).filter((from) => from !== name),
          [],
        );
    });

  test('ports that Gloo chooses are open between trainers only', () => {
    const gloo = { protocol: 'TCP', number: 40_123 } as const;
    for (const name of SERVICES)
      assert.deepEqual(callersOf(name, gloo), name === 'trainer' ? ['trainer'] : []);
    assert.deepEqual(callersOf('train', gloo), ['train']);
  });

  test('every service asks the name server, and nothing else of its namespace', () => {
    const named = place('', 'kube-system');
    const server = { ...named, labels: { 'k8s-app': 'kube-dns' } };
    for (const name of SERVICES) {
      assert.ok(network.reaches(PLACES[name], server, { protocol: 'UDP', number: 53 }));
      assert.ok(!network.reaches(PLACES[name], server, { protocol: 'TCP', number: 443 }));
      assert.ok(!network.reaches(PLACES[name], named, { protocol: 'UDP', number: 53 }));
    }
  });

  test('only the crawler reaches the Internet, and no address that is private', () => {
    for (const name of SERVICES)
      assert.equal(network.blocksOf(PLACES[name]).length > 0, name === 'crawler', name);
    const reachable = (address: string, family: 'ipv4' | 'ipv6') =>
      network.blocksOf(PLACES.crawler).some(({ cidr, except }) => {
        const [inside, outside] = [listOf([cidr]), listOf(except)];
        return inside.check(address, family) && !outside.check(address, family);
      });
    for (const address of PRIVATE) assert.ok(!reachable(address, 'ipv4'), address);
    for (const address of PRIVATE_IPV6) assert.ok(!reachable(address, 'ipv6'), address);
    assert.ok(reachable('93.184.215.14', 'ipv4'));
    assert.ok(reachable('2606:2800::1', 'ipv6'));
  });
});

function listOf(blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [net = '', prefix = ''] = block.split('/');
    list.addSubnet(net, Number(prefix), net.includes(':') ? 'ipv6' : 'ipv4');
  }
  return list;
}
