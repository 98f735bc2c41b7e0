import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { UnavailableError } from '@online-cnclip/foundation';
import { findFreePort } from './ports.ts';
import { type ServiceDefinition, startServices } from './supervisor.ts';

let folder: string;
let fake: string;
const never = new AbortController().signal;

// A service in small: listens where it is told, says that it is ready, drains on SIGTERM, or misbehaves as told.
const FAKE = `
import { createServer } from 'node:net';
const [address, mode, name] = process.argv.slice(2);
console.log('pid', process.pid);
if (mode === 'broken') { console.error('no such model'); process.exit(3); }
if (mode === 'parent') await (await import('./offspring.mjs')).raise();
const server = createServer((socket) => socket.end()).listen(Number(address.split(':')[1]), '127.0.0.1', () =>
  mode === 'mute' || console.log(JSON.stringify({ ready: name, address, metrics: null })));
process.on('SIGTERM', () => mode === 'stubborn' || (console.log('drained'), server.close()));
if (mode === 'short-lived') setTimeout(() => process.exit(4), 600);
`;

// A thread and a forked process, as services have them; each says how it ended.
const OFFSPRING = `
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
export async function raise() {
  const idle = 'setTimeout(() => process.exit(), 500)';
  const worker = new Worker(idle, { eval: true });
  const child = fork(new URL('./idle.mjs', import.meta.url), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [[thread], [status, signal]] = await Promise.all([once(worker, 'exit'), once(child, 'exit')]);
  console.log('thread', thread, 'fork', status, signal);
}
`;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'launcher-'));
  fake = join(folder, 'fake.mjs');
  writeFileSync(fake, FAKE);
  writeFileSync(join(folder, 'offspring.mjs'), OFFSPRING);
  writeFileSync(join(folder, 'idle.mjs'), 'setTimeout(() => process.exit(), 500);');
});
after(() => rmSync(folder, { recursive: true, force: true }));

const definition = (name: string, mode = 'good'): ServiceDefinition => ({
  name,
  entry: fake,
  port: 0,
  argumentsFor: (address, before) => [address, mode, name, ...before.values()],
});
const options = () => ({ logFolder: folder, environment: process.env, stopTimeoutMs: 5000 });
const logOf = (name: string): string => readFileSync(join(folder, `${name}.log`), 'utf8');
const pidOf = (name: string): number => Number(/pid (\d+)/.exec(logOf(name))?.[1]);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function waitUntilGone(pid: number): Promise<void> {
  for (let waited = 0; isAlive(pid) && waited < 10_000; waited += 50) await delay(50);
  assert.equal(isAlive(pid), false, `process ${pid} is still there`);
}

test('services listen on ports of their own and drain when stopped', async () => {
  const services = await startServices([definition('a'), definition('b')], options(), never);
  const addresses = [...services.services.values()].map(({ address }) => address);
  assert.equal(new Set(addresses).size, 2);
  const pids = [pidOf('a'), pidOf('b')];
  await services.stop();
  for (const pid of pids) assert.equal(isAlive(pid), false);
  assert.match(logOf('a'), /drained/);
  assert.equal(services.failure.aborted, false);
});

test('a service that ends at once is reported with the end of its log, and the others are stopped', async () => {
  await assert.rejects(
    startServices([definition('good'), definition('bad', 'broken')], options(), never),
    (error: Error) =>
      error instanceof UnavailableError && /bad: .*status 3.*no such model/s.test(error.message),
  );
  assert.equal(isAlive(pidOf('good')), false);
});

test('a service that never gets ready is given up', async () => {
  const hasty = { ...options(), startTimeoutMs: 1000 };
  await assert.rejects(
    startServices([definition('mute', 'mute')], hasty, never),
    /mute: not ready after 1000 ms/,
  );
  assert.equal(isAlive(pidOf('mute')), false);
});

test('starting can be interrupted', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 300);
  await assert.rejects(
    startServices([definition('slow', 'mute')], options(), controller.signal),
    /cancelled/,
  );
  assert.equal(isAlive(pidOf('slow')), false);
});

test('a service that ends later aborts with the reason', async () => {
  const services = await startServices([definition('short', 'short-lived')], options(), never);
  if (!services.failure.aborted) await once(services.failure, 'abort');
  assert.match(String(services.failure.reason), /short: ended unexpectedly \(status 4\)/);
  await services.stop();
});

test('a service that ignores SIGTERM is killed in time', async () => {
  const services = await startServices(
    [definition('stubborn', 'stubborn')],
    { ...options(), stopTimeoutMs: 300 },
    never,
  );
  await services.stop();
  assert.equal(isAlive(pidOf('stubborn')), false);
});

test('services end when the launcher is killed without a word', async () => {
  const script = join(folder, 'launcher.mjs');
  writeFileSync(
    script,
    `import { startServices } from ${JSON.stringify(new URL('./supervisor.ts', import.meta.url).href)};
     const definition = { name: 'orphan', entry: ${JSON.stringify(fake)}, port: 0, argumentsFor: (address) => [address, 'good', 'orphan'] };
     await startServices([definition], { logFolder: ${JSON.stringify(folder)}, environment: process.env }, new AbortController().signal);
     console.log('up');`,
  );
  const launcher = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(launcher.stdout, 'data');
  const pid = pidOf('orphan');
  assert.equal(isAlive(pid), true);
  launcher.kill('SIGKILL');
  await waitUntilGone(pid);
});

test('threads and forked children of a service are left alone', async () => {
  const services = await startServices([definition('parent', 'parent')], options(), never);
  assert.match(logOf('parent'), /thread 0 fork 0 null/);
  await services.stop();
});

test('a taken port is replaced by a free one', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address);
  const port = await findFreePort(address.port);
  assert.notEqual(port, address.port);
  assert.notEqual(await findFreePort(port, new Set([port])), port);
  server.close();
  await once(server, 'close');
  assert.equal(await findFreePort(address.port), address.port);
});
