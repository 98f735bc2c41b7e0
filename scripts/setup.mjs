// Runs before `npm start`, `npm test`, `npm run parity` and `npm run bench`, on any Node >= 20.
// Installs when a manifest or the lockfile has changed since the last install; otherwise does nothing.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(root);

function manifests() {
  const fixed = ['test/package.json', 'libs/foundation/package.json'];
  const groups = ['libs/artifacts', 'libs/compute', 'libs/model', 'libs/stages', 'libs/rpc', 'services'];
  return [
    ...fixed,
    ...groups.flatMap((group) => readdirSync(group).map((name) => `${group}/${name}/package.json`)),
  ].filter((path) => existsSync(path));
}

/** Of a manifest only what npm installs by: another test command is no reason to install again. */
function whatInstallingReads(path) {
  const text = readFileSync(path, 'utf8');
  if (!path.endsWith('package.json')) return text;
  const { scripts, ...manifest } = JSON.parse(text);
  return [manifest, scripts?.postinstall ?? null];
}

/** Without a network apt-get tries for minutes. */
const APT_TIMEOUT_MS = 60_000;
const stampPath = 'node_modules/.setup-stamp';
const addons = ['libs/artifacts/dataset/build-lmdb.mjs', 'libs/compute/collectives/build-gloo.mjs'];
const inputs = ['package-lock.json', 'package.json', ...addons, ...manifests()];
const hash = createHash('sha256').update(`${process.platform}-${process.arch}`);
for (const path of inputs.sort()) hash.update(path).update(JSON.stringify(whatInstallingReads(path)));
const wanted = hash.digest('hex');
const startedAt = Date.now();

installGloo();
if (!existsSync(stampPath) || readFileSync(stampPath, 'utf8') !== wanted) {
  console.log('setup: installing dependencies (npm ci)');
  const npm = process.env.npm_execpath;
  const [command, args] = npm
    ? [process.execPath, [npm, 'ci', '--loglevel=error']]
    : ['npm', ['ci', '--loglevel=error']];
  const { status } = spawnSync(command, args, {
    stdio: 'inherit',
    // For npm older than 11.16, which does not know "allowScripts": the CPU provider is in the package already.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stampPath, wanted);
} else {
  // Where Gloo came after the last install, or its addon changed.
  spawnSync(process.execPath, ['libs/compute/collectives/build-gloo.mjs'], { stdio: 'inherit' });
}

mkdirSync('var', { recursive: true });
writeFileSync('var/setup-seconds', String((Date.now() - startedAt) / 1000));

/** Several replicas train over Debian's libgloo; everything else works without it. */
function installGloo() {
  if (process.platform !== 'linux' || existsSync('/usr/include/gloo/context.h')) return;
  if (existsSync('/usr/local/include/gloo/context.h')) return;
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');
  if (isDebian && process.getuid?.() === 0) {
    console.log('setup: installing libgloo-dev (apt-get)');
    if (aptGet('install', '-y', '--no-install-recommends', 'libgloo-dev')) return;
    // A fresh image has no package lists.
    if (aptGet('update') && aptGet('install', '-y', '--no-install-recommends', 'libgloo-dev')) return;
  }
  console.log(
    'setup: libgloo is not here, so one replica trains and no more; to have several: sudo apt-get install libgloo-dev',
  );
}

function aptGet(...args) {
  const { status } = spawnSync('apt-get', ['-qq', '-o', 'Acquire::Retries=0', ...args], {
    // Its output is of interest only where it fails, and then the line to run by hand says more.
    stdio: 'ignore',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: APT_TIMEOUT_MS,
  });
  return status === 0;
}
