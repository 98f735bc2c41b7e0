// Builds lmdb's addon against LMDB data format v1, the one Python's lmdb reads and writes. Idempotent and
// offline: Node's headers come from the npm package node-linux-*; the addon is N-API, so one binary serves any Node.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const packageRoot = join(dirname(require.resolve('lmdb')), '..');
const makefile = join(packageRoot, 'build/lmdb.target.mk');
const isBuiltForDataV1 = () =>
  existsSync(join(packageRoot, 'build/Release/lmdb.node')) &&
  existsSync(makefile) &&
  readFileSync(makefile, 'utf8').includes('lmdb-data-v1/libraries/liblmdb/mdb.o');

function headerFlags() {
  try {
    return [`--nodedir=${dirname(require.resolve(`node-${process.platform}-${process.arch}/package.json`))}`];
  } catch {
    const prefix = join(dirname(process.execPath), '..');
    return existsSync(join(prefix, 'include/node/node.h')) ? [`--nodedir=${prefix}`] : [];
  }
}

if (!isBuiltForDataV1()) {
  const gyp = require.resolve('node-gyp/bin/node-gyp.js');
  execFileSync(process.execPath, [gyp, 'rebuild', '--loglevel=error', '-j', '2', ...headerFlags()], {
    cwd: packageRoot,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, LMDB_DATA_V1: 'true', ENABLE_V8_FUNCTIONS: 'false' },
  });
}
