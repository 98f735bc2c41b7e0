// Services and metrics with certificates: who is let in, who may do what, and files that change while calls go on.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { createEncoderClient, createHealthClient, type EncoderClient } from '@online-cnclip/client';
import {
  EncoderServiceService,
  EncodeTextRequest,
  LoadModelRequest,
  TokenizeRequest,
} from '@online-cnclip/contracts/encoder/v1';
import {
  createLogger,
  InvalidInputError,
  PermissionDeniedError,
  silentLogger,
  UnavailableError,
} from '@online-cnclip/foundation';
import {
  DEFAULT_POLICY,
  openTls,
  Policy,
  TlsChannelCredentials,
  type TlsFiles,
  type TlsMaterial,
  type Watched,
} from '@online-cnclip/security';
import {
  CERTIFICATE_FILES,
  initCertificates,
  issueCertificate,
  renewCertificates,
  revokeCertificate,
} from '@online-cnclip/security/certificates';
import { Health } from '../health.ts';
import { createService, type Handlers, implement, type Service, startMetricsServer } from '../index.ts';
import { Telemetry } from '../telemetry.ts';
import { startHealthServer } from './health-server.ts';
import { isLoopback, requireLoopback } from './plaintext.ts';
import { Refusals } from './refusals.ts';

const noTexts = EncodeTextRequest.fromPartial({});

type Line = Readonly<Record<string, unknown>>;

/** Nothing here takes a second on an idle machine. */
const HANG_GUARD_MS = 60_000;

let folder: string;
let tls: Watched<TlsMaterial>;
let service: Service;
let address: string;
let metrics: Awaited<ReturnType<typeof startMetricsServer>>;
const lines: Line[] = [];
const opened: { close(): unknown }[] = [];
const waiting: (() => void)[] = [];

const handlers: Handlers<typeof EncoderServiceService> = {
  tokenize: async () => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return { texts: [] };
  },
  loadModel: async () => ({ model: undefined, replacedFingerprint: '' }) as never,
  getModel: async () => ({ model: undefined }) as never,
  encodeText: async () => ({ embeddings: [], modelFingerprint: '' }),
  encodeImage: async () => ({ embeddings: [], modelFingerprint: '' }),
  encode: async function* () {},
};

const filesOf = (name: string): TlsFiles => ({
  certificate: join(folder, name, CERTIFICATE_FILES.certificate),
  key: join(folder, name, CERTIFICATE_FILES.key),
  authority: join(folder, name, CERTIFICATE_FILES.authority),
  revoked: join(folder, name, CERTIFICATE_FILES.revoked),
});

/** Not looked at by a clock: the tests say when. */
const open = async (name: string, logger = silentLogger): Promise<Watched<TlsMaterial>> => {
  const watched = await openTls(filesOf(name), { logger, pollIntervalMs: 3_600_000 });
  opened.push(watched);
  return watched;
};

async function clientOf(name: string, to = address): Promise<EncoderClient> {
  const client = createEncoderClient(to, { credentials: new TlsChannelCredentials(await open(name)) });
  opened.push(client);
  return client;
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'security-'));
  await initCertificates(folder);
  const logger = createLogger('encoder', 'info', { write: (line: string) => lines.push(JSON.parse(line)) });
  const telemetry = new Telemetry('encoder');
  tls = await open('encoder', logger);
  const security = {
    tls,
    policy: { current: new Policy(DEFAULT_POLICY) },
    refusals: new Refusals(logger, telemetry),
  };
  service = createService({
    name: 'encoder',
    implementations: [implement(EncoderServiceService, handlers)],
    logger,
    telemetry,
    security,
    drainTimeoutMs: 300,
  });
  address = await service.listen('localhost:0');
  metrics = await startMetricsServer('localhost:0', telemetry, security);
});
after(async () => {
  for (const release of waiting) release();
  for (const closable of opened) closable.close();
  await service.close();
  await metrics.close();
  await rm(folder, { recursive: true });
});

async function untilLogged(matches: (line: Line) => boolean): Promise<Line> {
  for (const end = Date.now() + HANG_GUARD_MS; Date.now() < end; ) {
    const line = lines.find(matches);
    if (line) return line;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`not among ${JSON.stringify(lines)}`);
}

test('a client encodes and may not load a model; an operator may, and leaves a line in the audit log', async () => {
  const [client, operator] = [await clientOf('client'), await clientOf('operator')];
  await client.encodeText(noTexts);
  const load = LoadModelRequest.fromPartial({ checkpointPath: 'a.pt' });
  await assert.rejects(client.loadModel(load, { requestId: 'r-1' }), (error: unknown) => {
    assert.ok(error instanceof PermissionDeniedError);
    assert.match(error.message, /the role client may not call .*EncoderService\/LoadModel/);
    return true;
  });
  await operator.loadModel(load, { requestId: 'r-2' });
  const audited = lines
    .filter(({ audit }) => audit)
    .map(({ who, role, requestId, outcome }) => [who, role, requestId, outcome]);
  assert.deepEqual(audited, [
    ['client', 'client', 'r-1', 'PERMISSION_DENIED'],
    ['operator', 'operator', 'r-2', 'OK'],
  ]);
});

test('health is open to every role, and to probes without a certificate on an address of its own', async () => {
  const credentials = new TlsChannelCredentials(await open('scraper'));
  const secure = createHealthClient(address, { credentials });
  assert.equal(await secure.isServing(), false);
  secure.close();
  const health = new Health();
  health.setServing(true);
  const server = await startHealthServer('127.0.0.1:0', health);
  const plain = createHealthClient(server.address);
  assert.equal(await plain.isServing(), true);
  const nothingElse = createEncoderClient(server.address);
  await assert.rejects(nothingElse.encodeText(noTexts), { kind: 'unsupported' });
  for (const closable of [plain, nothingElse, server]) closable.close();
});

test('metrics are read by the scraper alone', async () => {
  const status = async (name: string): Promise<number | undefined> => {
    const { options } = (await open(name)).current;
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    get(`https://${metrics.address}/metrics`, { ...options, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
    return promise;
  };
  assert.equal(await status('scraper'), 200);
  assert.equal(await status('client'), 403);
  await assert.rejects(fetch(`http://${metrics.address}/metrics`));
  await untilLogged(({ what, reason }) => what === 'metrics' && /SSL_HTTP_REQUEST/.test(String(reason)));
});

test('a stranger is refused, and the log says why', async () => {
  const plain = createEncoderClient(address);
  await assert.rejects(plain.encodeText(noTexts), UnavailableError);
  plain.close();
  const other = await mkdtemp(join(tmpdir(), 'security-'));
  await initCertificates(other);
  const { options } = (await open('client')).current;
  const strangers = await openTls(
    {
      certificate: join(other, 'client/tls.crt'),
      key: join(other, 'client/tls.key'),
      authority: join(other, 'ca.crt'),
    },
    { logger: silentLogger },
  );
  opened.push(strangers);
  const { cert, key } = strangers.current.options;
  const [host, port] = address.split(':');
  // It believes the server: what it shows is what is refused.
  const socket = connect({ ...options, cert, key, host, port: Number(port), ALPNProtocols: ['h2'] } as never);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
  const { who } = await untilLogged(({ reason }) =>
    /UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/.test(String(reason)),
  );
  assert.equal(who, 'client "client"');
  await rm(other, { recursive: true });
});

test('new files are in force for new connections, while a call goes on with the old ones', async () => {
  const client = await clientOf('client');
  const request = TokenizeRequest.fromPartial({ texts: ['a'] });
  const before = waiting.length;
  const slow = client.tokenize(request);
  while (waiting.length === before) await new Promise((resolve) => setTimeout(resolve, 5));
  const [old] = [await serverFingerprint()];
  await renewCertificates(folder);
  await tls.look();
  assert.notEqual(await serverFingerprint(), old);
  const renewed = await clientOf('client');
  await renewed.encodeText(noTexts);
  waiting.at(-1)?.();
  assert.deepEqual(await slow, { texts: [] });
});

test('broken files are logged, and the old ones stay', async () => {
  const { certificate, key } = filesOf('encoder');
  const good = await serverFingerprint();
  for (const [file, content, expected] of [
    [certificate, 'no certificate', /tls\.crt: not the PEM file/],
    [certificate, '', /tls\.crt: not the PEM file/],
    [key, 'no key', /tls\.key: not the PEM file/],
  ] as const) {
    await cp(file, `${file}.good`);
    await writeFile(file, content);
    await tls.look();
    await rename(`${file}.good`, file);
    assert.ok(
      lines.some(({ msg }) => expected.test(String(msg))),
      String(expected),
    );
    assert.equal(await serverFingerprint(), good);
  }
  await cp(filesOf('ranker').key, `${key}.other`);
  await cp(key, `${key}.good`);
  await rename(`${key}.other`, key);
  await tls.look();
  assert.ok(lines.some(({ msg }) => /tls\.key: is not the key of .*tls\.crt/.test(String(msg))));
  await rename(`${key}.good`, key);
  await tls.look();
  await (await clientOf('client')).encodeText(noTexts);
});

test('a folder that is swapped by a symbolic link, as Kubernetes does, is seen', async () => {
  const mounted = join(folder, 'mounted');
  await cp(join(folder, 'encoder'), join(folder, 'version-1'), { recursive: true });
  await symlink('version-1', mounted);
  const watched = await openTls(
    {
      certificate: join(mounted, 'tls.crt'),
      key: join(mounted, 'tls.key'),
      authority: join(mounted, 'ca.crt'),
    },
    { logger: silentLogger, pollIntervalMs: 20 },
  );
  opened.push(watched);
  await cp(join(folder, 'ranker'), join(folder, 'version-2'), { recursive: true });
  await symlink('version-2', `${mounted}.new`);
  const { promise, resolve } = Promise.withResolvers<TlsMaterial>();
  watched.onChange(resolve);
  await rename(`${mounted}.new`, mounted);
  assert.equal((await promise).identity.role, 'ranker');
});

test('who is revoked is refused, loses the connection that there is, and finds no way around by an old session', async () => {
  await issueCertificate(folder, { name: 'mallory', role: 'client', hosts: [] });
  const mallory = await clientOf('mallory');
  const request = TokenizeRequest.fromPartial({ texts: ['a'] });
  const before = waiting.length;
  const going = mallory.tokenize(request);
  const ended = assert.rejects(going, UnavailableError);
  while (waiting.length === before) await new Promise((resolve) => setTimeout(resolve, 5));
  const sessions: Buffer[] = [];
  const { options } = (await open('mallory')).current;
  const [host, port] = address.split(':');
  const socket = connect({ ...options, host, port: Number(port), ALPNProtocols: ['h2'] } as never);
  socket.on('session', (session) => sessions.push(session)).on('error', () => {});
  opened.push({ close: () => socket.destroy() });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  await revokeCertificate(folder, 'mallory');
  await tls.look();
  await ended;
  await untilLogged(({ reason, who }) => /CERT_REVOKED/.test(String(reason)) && who === 'client "mallory"');
  await assert.rejects(mallory.encodeText(noTexts), UnavailableError);
  const reasons = () => lines.filter(({ reason }) => /CERT_REVOKED/.test(String(reason))).length;
  const refused = reasons();
  const again = connect({
    ...options,
    host,
    port: Number(port),
    ALPNProtocols: ['h2'],
    session: sessions.at(-1),
  } as never);
  let reused = false;
  again.on('error', () => {}).on('secureConnect', () => (reused = again.isSessionReused()));
  await new Promise((resolve) => again.once('close', resolve));
  assert.equal(reused, false);
  await untilLogged(() => reasons() > refused);
  await (await clientOf('client')).encodeText(noTexts);
});

test('what is no loopback needs certificates, or a word that it does not', () => {
  for (const host of ['127.0.0.1', '127.8.8.8', 'localhost', '::1']) assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example.com', '127.0.0.1.example.com'])
    assert.ok(!isLoopback(host), host);
  assert.throws(() => requireLoopback('0.0.0.0:50051', false), InvalidInputError);
  requireLoopback('0.0.0.0:50051', true);
});

async function serverFingerprint(): Promise<string> {
  const { options } = (await open('client')).current;
  const [host, port] = address.split(':');
  const socket = connect({ ...options, host, port: Number(port), ALPNProtocols: ['h2'] } as never);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const { raw } = socket.getPeerCertificate();
  socket.destroy();
  return createHash('sha256').update(raw).digest('hex');
}
