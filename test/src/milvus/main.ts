// npm run test:milvus: sets up the vendor's test server (once, below var/) and runs every test that needs it.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MILVUS_PACKAGES, milvusEnvironment } from '@online-cnclip/milvus-index/testing';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const { folder, python, stamp } = milvusEnvironment();

if (!existsSync(stamp)) {
  console.log('test:milvus: installing the test server (450 MB below var/milvus, once)');
  rmSync(folder, { recursive: true, force: true });
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: 'inherit' });
  run('python3', '-m', 'venv', folder);
  run(python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...MILVUS_PACKAGES);
  writeFileSync(stamp, '');
}

const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'scripts/run-tests.mjs'),
    ...['connection', 'engine', 'ranker', 'server'].map((name) => `src/milvus/${name}.test.ts`),
  ],
  { cwd: join(root, 'test'), stdio: 'inherit' },
);
process.exitCode = status ?? 1;
