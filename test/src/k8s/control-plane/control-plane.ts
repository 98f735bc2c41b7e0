import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Api } from './api.ts';
import { Kubectl } from './kubectl.ts';
import { Components, freePorts } from './processes.ts';

/** Who the components are to the API server: name and groups. */
const USERS = {
  admin: ['admin', 'system:masters'],
  'kube-controller-manager': ['system:kube-controller-manager', ''],
  'kube-scheduler': ['system:kube-scheduler', ''],
} as const;
type User = keyof typeof USERS;

const RSA_BITS = 2_048;

export interface ControlPlane {
  readonly kubectl: Kubectl;
  readonly api: Api;
  stop(): Promise<void>;
}

/**
 * A Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, as they are in any
 * cluster. There is no kubelet: nodes are objects, and no container ever runs.
 *
 * @param binary the kubetest program.
 */
export async function startControlPlane(binary: string): Promise<ControlPlane> {
  const folder = mkdtempSync(join(tmpdir(), 'kubetest-'));
  const components = new Components(binary, folder);
  const stop = async () => {
    await components.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const [etcd = 0, peer = 0, api = 0, manager = 0, scheduler = 0] = await freePorts(5);
    await startEtcd(components, { etcd, peer });
    const tokens = writeCredentials(folder, api);
    await startApiServer(components, tokens, { etcd, api });
    startControllers(components, folder, { manager, scheduler });
    const kubectl = new Kubectl(binary, kubeconfigPath(folder, 'admin'));
    const healthz = (port: number) => () => isOk(`https://127.0.0.1:${port}/healthz`);
    await components.waitFor('kube-scheduler', healthz(scheduler));
    await components.waitFor('kube-controller-manager', healthz(manager));
    // Without its account a namespace accepts no pod.
    await components.waitFor('kube-controller-manager', () =>
      kubectl.run(['get', 'serviceaccount', 'default']).then(() => true),
    );
    return { kubectl, api: new Api(api, tokens.admin), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startEtcd(
  components: Components,
  { etcd, peer }: { readonly etcd: number; readonly peer: number },
): Promise<void> {
  const [client, peers] = [`http://127.0.0.1:${etcd}`, `http://127.0.0.1:${peer}`];
  components.start('etcd', {
    'data-dir': 'etcd',
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peers,
    'initial-advertise-peer-urls': peers,
    'initial-cluster': `default=${peers}`,
    'log-level': 'warn',
    // What is in it need not outlive the test.
    'unsafe-no-fsync': true,
  });
  await components.waitFor('etcd', () => isOk(`${client}/health`));
}

async function startApiServer(
  components: Components,
  tokens: Readonly<Record<User, string>>,
  { etcd, api }: { readonly etcd: number; readonly api: number },
): Promise<void> {
  components.start('kube-apiserver', {
    'etcd-servers': `http://127.0.0.1:${etcd}`,
    'bind-address': '127.0.0.1',
    'advertise-address': '127.0.0.1',
    'secure-port': api,
    'endpoint-reconciler-type': 'none',
    // Makes its own certificate there.
    'cert-dir': 'api',
    'token-auth-file': 'tokens.csv',
    'authorization-mode': 'Node,RBAC',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': 'accounts.pub',
    'service-account-signing-key-file': 'accounts.key',
    'service-cluster-ip-range': '10.96.0.0/16',
  });
  await components.waitFor('kube-apiserver', () =>
    isOk(`https://127.0.0.1:${api}/readyz`, { authorization: `Bearer ${tokens.admin}` }),
  );
}

function startControllers(
  components: Components,
  folder: string,
  ports: { readonly manager: number; readonly scheduler: number },
): void {
  const common = (user: User, port: number) => {
    const kubeconfig = kubeconfigPath(folder, user);
    return {
      kubeconfig,
      'authentication-kubeconfig': kubeconfig,
      'authorization-kubeconfig': kubeconfig,
      'bind-address': '127.0.0.1',
      'secure-port': port,
      'cert-dir': user,
      'leader-elect': false,
    };
  };
  components.start('kube-controller-manager', {
    ...common('kube-controller-manager', ports.manager),
    'service-account-private-key-file': 'accounts.key',
    'use-service-account-credentials': true,
    // No kubelet says that the nodes are there.
    'node-monitor-grace-period': '24h',
  });
  components.start('kube-scheduler', common('kube-scheduler', ports.scheduler));
}

const kubeconfigPath = (folder: string, user: User): string => join(folder, `${user}.kubeconfig`);

/** A key for service accounts, a token for each user, and who they are to whom. */
function writeCredentials(folder: string, port: number): Record<User, string> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: RSA_BITS,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const write = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    chmodSync(join(folder, name), 0o600);
  };
  write('accounts.pub', publicKey);
  write('accounts.key', privateKey);
  const tokens = { admin: '', 'kube-controller-manager': '', 'kube-scheduler': '' };
  const lines: string[] = [];
  for (const user of Object.keys(USERS) as User[]) {
    const [name, groups] = USERS[user];
    tokens[user] = randomBytes(16).toString('hex');
    lines.push(`${tokens[user]},${name},${name}${groups && `,"${groups}"`}`);
    write(`${user}.kubeconfig`, kubeconfigOf(tokens[user], port));
  }
  write('tokens.csv', `${lines.join('\n')}\n`);
  return tokens;
}

/** JSON is YAML. The certificate is of the API server's own making and the way to it is loopback. */
const kubeconfigOf = (token: string, port: number): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } },
    ],
    users: [{ name: 'user', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'user' } }],
    'current-context': 'test',
  });

function isOk(url: string, headers: Readonly<Record<string, string>> = {}): Promise<boolean> {
  const get = url.startsWith('https:') ? getHttps : getHttp;
  return new Promise((resolve) => {
    const request = get(url, { headers, rejectUnauthorized: false, timeout: 5_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
