import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createEncoderClient } from '@online-cnclip/client';
import { TokenizeRequest } from '@online-cnclip/contracts/encoder/v1';
import { UnavailableError } from '@online-cnclip/foundation';
import { EXIT } from './index.ts';

const program = fileURLToPath(new URL('./testing/echo-service.ts', import.meta.url));
const children: ChildProcess[] = [];
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'service-kit-'));
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

function launch(flags: readonly string[], environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, ...flags], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += chunk));
  child.stderr.on('data', (chunk) => (output.stderr += chunk));
  return { child, output, ended: once(child, 'close').then(([code]) => ({ code, ...output })) };
}

const loopback = ['--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'];

test('a process says where it listens, serves, and ends in order on SIGTERM', async () => {
  const { child, ended } = launch(loopback);
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { ready, address, metrics } = JSON.parse(line);
  assert.equal(ready, 'echo');
  const client = createEncoderClient(address);
  await client.waitUntilConnected(5_000);
  const request = TokenizeRequest.fromPartial({ texts: ['猫'], contextLength: 300 });
  await client.tokenize(request);
  const page = await fetch(`http://${metrics}/metrics`);
  const text = await page.text();
  assert.match(page.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  assert.match(text, /onlinecnclip_rpc_duration_seconds_count\{[^}]*Tokenize[^}]*\} 1/);
  assert.match(text, /echo_queue_items\{service="echo"\} 3/);
  assert.match(text, /process_cpu_seconds_total/);
  assert.equal((await fetch(`http://${metrics}/other`)).status, 404);

  const slow = client.tokenize(request);
  setTimeout(() => child.kill('SIGTERM'), 100);
  assert.equal((await slow).texts.length, 1);
  const { code, stdout, stderr } = await ended;
  assert.equal(code, EXIT.ok);
  assert.equal(stdout.trim().split('\n').length, 1);
  const logged = stderr
    .trim()
    .split('\n')
    .map((entry) => JSON.parse(entry).msg);
  assert.deepEqual(logged, ['listening', 'started', 'shutting down', 'disposed', 'ended']);
  await assert.rejects(client.tokenize(request), UnavailableError);
  client.close();
});

test('wrong configuration ends with status 2 and one line that names it', async () => {
  const file = join(folder, 'config.yaml');
  await writeFile(file, 'listenAdress: 127.0.0.1:0\n');
  const cases: [string[], Record<string, string>, RegExp][] = [
    [['--listen-address', 'nowhere'], {}, /^echo: --listen-address: "nowhere" is not valid: .*host:port/],
    [['--port', '1'], {}, /^echo: --port: unknown option/],
    [
      [],
      { ONLINE_CNCLIP_ECHO_MAX_MESSAGE_BYTES: '-1' },
      /^echo: ONLINE_CNCLIP_ECHO_MAX_MESSAGE_BYTES: "-1" is not valid/,
    ],
    [['--config', file], {}, /config\.yaml: unknown settings listenAdress; did you mean listenAddress\?/],
    [[], { ONLINE_CNCLIP_ECHO_LISTEN_ADRESS: 'x' }, /did you mean ONLINE_CNCLIP_ECHO_LISTEN_ADDRESS\?/],
  ];
  await Promise.all(
    cases.map(async ([flags, environment, expected]) => {
      const { code, stdout, stderr } = await launch(flags, environment).ended;
      assert.equal(code, EXIT.badConfiguration);
      assert.equal(stdout, '');
      assert.match(stderr, expected);
      assert.equal(stderr.trim().split('\n').length, 1);
    }),
  );
});

test('a port in use ends the start with status 1 and says which', async (context) => {
  const other = createServer();
  context.after(() => other.close());
  await once(other.listen(0, '127.0.0.1'), 'listening');
  const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  const starts = [
    launch(['--listen-address', taken, '--metrics-address', 'off']),
    launch(['--listen-address', '127.0.0.1:0', '--metrics-address', taken]),
  ];
  for (const { ended } of starts) {
    const { code, stdout, stderr } = await ended;
    assert.equal(code, EXIT.failed);
    assert.equal(stdout, '');
    const fatal = stderr
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
      .find(({ level }) => level === 60);
    assert.match(fatal?.msg ?? stderr, new RegExp(`^${taken}: cannot listen( for metrics)?: `));
  }
});

test('--help lists the settings; a failing start ends with status 1', async () => {
  const [help, failing] = await Promise.all([
    launch(['--help']).ended,
    launch([...loopback, '--fail', 'yes']).ended,
  ]);
  assert.equal(help.code, EXIT.ok);
  assert.match(
    help.stdout,
    /--listen-address +ONLINE_CNCLIP_ECHO_LISTEN_ADDRESS +host:port .*\[127\.0\.0\.1:50999\]/,
  );
  assert.equal(failing.code, EXIT.failed);
  assert.match(failing.stderr, /"msg":"model: is not there"/);
});
