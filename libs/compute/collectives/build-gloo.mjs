// Builds the addon over Gloo where libgloo is installed; leaves without it where it is not: one replica needs none.
// Idempotent and offline: Node's headers come from the npm package node-linux-*; N-API, so one binary serves any Node.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = dirname(fileURLToPath(import.meta.url));
const stamp = join(root, 'build/Release/gloo.sha256');
const sources = ['binding.gyp', 'native/gloo.cc'].map((path) => readFileSync(join(root, path)));
const wanted = createHash('sha256').update(Buffer.concat(sources)).digest('hex');
const hasGloo = ['/usr/include', '/usr/local/include'].some((path) =>
  existsSync(join(path, 'gloo/context.h')),
);
const isBuilt = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;

function headerFlags() {
  try {
    return [`--nodedir=${dirname(require.resolve(`node-${process.platform}-${process.arch}/package.json`))}`];
  } catch {
    const prefix = join(dirname(process.execPath), '..');
    return existsSync(join(prefix, 'include/node/node.h')) ? [`--nodedir=${prefix}`] : [];
  }
}

if (hasGloo && !isBuilt) {
  const gyp = require.resolve('node-gyp/bin/node-gyp.js');
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [gyp, 'rebuild', '--loglevel=error', ...headerFlags()],
    { cwd: root, encoding: 'utf8' },
  );
  if (status === 0) writeFileSync(stamp, wanted);
  else
    console.warn(`collectives: the addon over Gloo was not built, one replica works:\n${stdout}\n${stderr}`);
}
