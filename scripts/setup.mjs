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

const stampPath = 'node_modules/.setup-stamp';
const inputs = ['package-lock.json', 'package.json', 'libs/artifacts/dataset/build-lmdb.mjs', ...manifests()];
const hash = createHash('sha256').update(`${process.platform}-${process.arch}`);
for (const path of inputs.sort()) hash.update(path).update(readFileSync(path));
const wanted = hash.digest('hex');
const startedAt = Date.now();

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
}

mkdirSync('var', { recursive: true });
writeFileSync('var/setup-seconds', String((Date.now() - startedAt) / 1000));
