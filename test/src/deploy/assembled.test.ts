// What the images hold, without a container engine: the Dockerfile's scripts are run in a clean folder outside the repository, and every
// service is started from there with production dependencies only.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const SCRIPTS = join(root, 'deploy/docker/scripts');
const SERVICES = ['encoder', 'trainer', 'ranker', 'crawler', 'console'] as const;
type Service = (typeof SERVICES)[number];

const VISION = 'ViT-mini-8-48';
const TEXT = 'RoBERTa-mini-chinese';
/** Of a start with a model to load or a training step to try, on a machine that does much else besides. */
const READY_TIMEOUT_MS = 120_000;
const POLL_MS = 250;

let folder: string;
let app: string;
let data: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assembled-'));
  app = join(folder, 'app');
  data = join(folder, 'data');
  execFileSync(process.execPath, [join(SCRIPTS, 'assemble.mjs'), app, ...SERVICES, 'cli'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  mkdirSync(data);
  const parameters = initializeParameters(resolveModelConfig(VISION, TEXT), 1);
  await writeCheckpoint(join(data, 'epoch1.pt'), { epoch: 1, step: 1, name: 'test', parameters });
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly link?: boolean }>>;
}

test('production dependencies are there, development ones and tests are not', () => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lockfile;
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const development = Object.keys(packages).filter((path) => packages[path]?.dev);
  for (const name of ['typescript', 'nx', '@biomejs/biome']) {
    assert.ok(name in devDependencies);
    assert.ok(development.includes(`node_modules/${name}`));
  }
  assert.deepEqual(
    development.filter((path) => existsSync(join(app, path))),
    [],
  );
  for (const name of ['@grpc/grpc-js', 'onnxruntime-node', 'lmdb', 'fastify'])
    assert.ok(existsSync(join(app, 'node_modules', name)), name);
  const exclude = (path: string) => path === 'node_modules';
  assert.deepEqual(globSync('**/*.test.ts', { cwd: app, exclude }), []);
  const folders = [...SERVICES, 'cli'].map((name) => `services/${name}`);
  assert.deepEqual(globSync('services/*', { cwd: app }).sort(), folders.sort());
});

test('no link leads out of the folder or to nothing', () => {
  const links = globSync('node_modules/@online-cnclip/*', { cwd: app });
  assert.ok(links.length > 10);
  for (const link of links) assert.ok(statSync(join(app, link)).isDirectory(), link);
});

test('the addon over Gloo was built where libgloo is installed', { skip: skipWithoutGloo() }, () => {
  assert.ok(existsSync(join(app, 'libs/compute/collectives/build/Release/gloo.node')));
});

function skipWithoutGloo(): string | false {
  return existsSync('/usr/include/gloo/context.h') ? false : 'libgloo-dev is not installed';
}

/** Flags beside the addresses. */
const FLAGS: Record<Service, () => readonly string[]> = {
  encoder: () => [
    ...['--data-folder', data, '--checkpoint', 'epoch1.pt'],
    ...['--vision-model', VISION, '--text-model', TEXT],
  ],
  trainer: () => ['--data-folder', join(data, 'trainer')],
  ranker: () => ['--data-folder', join(data, 'ranker')],
  crawler: () => ['--data-folder', join(data, 'crawler')],
  console: () => [],
};

/** What a probe asks for: the crawler is SERVING only where there is a browser, which its image has and this machine may not. */
const PROBED: Record<Service, string> = {
  ...{ encoder: '', trainer: '', ranker: '', crawler: 'liveness', console: '/healthz' },
};

for (const service of SERVICES)
  test(`${service} starts from the folder, is healthy, changes none of its files and ends`, async (t) => {
    const before = filesOf(app);
    const { child, port } = await start(service);
    t.after(() => child.kill('SIGKILL'));
    await untilHealthy(port, PROBED[service]);
    if (service !== 'console') {
      assert.equal(probe(port, 'liveness').status, 0);
      const { status, stderr } = probe(port, 'no.such.Service');
      assert.deepEqual([status, stderr.trim()], [1, 'health: gRPC status 5']);
    }
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    assert.deepEqual(filesOf(app), before);
    const { status, stderr } = probe(port, PROBED[service]);
    assert.equal(status, 1);
    assert.match(stderr, /^health: .*ECONNREFUSED/);
  });

test('the command line runs from the folder', () => {
  const cli = (...args: string[]) =>
    spawnSync(process.execPath, ['services/cli/bin/cnclip.mjs', ...args], { cwd: app, encoding: 'utf8' });
  const { status, stdout, stderr } = cli('model', 'describe', '--help');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /Usage: cnclip/);
  // It fails for want of data and of nothing else.
  const train = cli('train', `--data-path=${data}/none`, '--dataset=MUGE', '--name=x');
  assert.match(train.stderr, /data\/none/);
});

async function start(service: Service): Promise<{ readonly child: ChildProcess; readonly port: string }> {
  const addresses = ['--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'];
  const child = spawn(
    process.execPath,
    [`services/${service}/src/main.ts`, ...addresses, ...FLAGS[service]()],
    {
      cwd: app,
      stdio: ['ignore', 'pipe', 'pipe'],
      // As in the image: nothing but /tmp and /data can be written.
      env: { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder, NODE_ENV: 'production' },
    },
  );
  const line = once(createInterface(child.stdout), 'line').then(([text]) => String(text));
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const ended = once(child, 'exit').then(([code]) => assert.fail(`${service} ended with ${code}:\n${log}`));
  const ready = JSON.parse(await Promise.race([line, ended])) as { readonly address: string };
  ended.catch(() => {});
  return { child, port: ready.address.replace(/^.*:/, '') };
}

const probe = (port: string, name: string) =>
  spawnSync(process.execPath, [join(SCRIPTS, 'health.mjs'), port, ...(name ? [name] : [])], {
    encoding: 'utf8',
  });

async function untilHealthy(port: string, name: string): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (true) {
    const { status, stderr } = probe(port, name);
    if (status === 0) return;
    assert.match(stderr, /^health: NOT_SERVING/);
    assert.ok(Date.now() < deadline, `not healthy within ${READY_TIMEOUT_MS} ms`);
    await sleep(POLL_MS);
  }
}

/** Path, size and time of change of each file. */
function filesOf(path: string): Map<string, string> {
  const files = globSync('**/*', { cwd: path, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const file = join(entry.parentPath, entry.name);
      const { size, mtimeMs } = statSync(file);
      return [file, `${size} ${mtimeMs}`];
    }),
  );
}
