// Fails when a contract breaks with the last committed one: buf's FILE rules. Without a git history there is
// nothing to compare with, which is said.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const parent = spawnSync('git', ['rev-parse', '--verify', '--quiet', 'HEAD~1'], {
  cwd: root,
  encoding: 'utf8',
});
if (!existsSync(join(root, '.git')) || parent.status !== 0) {
  console.log('no earlier commit to compare the contracts with');
} else {
  // The commit before this one: in a checkout of what has just been committed, HEAD would be the contracts themselves.
  const against = `../.git#ref=${parent.stdout.trim()},subdir=proto`;
  const { status } = spawnSync(join(root, 'node_modules/.bin/buf'), ['breaking', '--against', against], {
    cwd: join(root, 'proto'),
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}
