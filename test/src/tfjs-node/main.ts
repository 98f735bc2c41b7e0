// npm run test:tfjs-node: builds TensorFlow's package for the CPU (once, below var/) and runs suite.ts on it.
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = execFileSync(process.execPath, [join(root, 'scripts/build-tfjs-node.mjs'), 'cpu'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
}).trim();
const { status } = spawnSync(
  process.execPath,
  [join(root, 'scripts/run-tests.mjs'), 'src/tfjs-node/suite.ts'],
  {
    cwd: join(root, 'test'),
    stdio: 'inherit',
    // TensorFlow's notes on its start are no results.
    env: { ...process.env, TFJS_NODE_FOLDER: folder, TF_CPP_MIN_LOG_LEVEL: '2' },
  },
);
process.exitCode = status ?? 1;
