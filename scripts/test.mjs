// The whole test command: static checks as Nx targets, then every package's tests. The last line is the total.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const results = join(root, 'var/test-results');
rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });

const step = (title, command, ...args) => {
  console.log(`\n== ${title}`);
  const { status } = spawnSync(join(root, 'node_modules/.bin', command), args, {
    cwd: root,
    stdio: 'inherit',
  });
  return status === 0;
};

const checks = [
  ['format and lint', 'nx', 'run', 'online-cnclip:lint'],
  ['types', 'nx', 'run', 'online-cnclip:typecheck'],
  ['generated contracts are current', 'node', 'scripts/generate.mjs', '--check'],
  ['contracts stay compatible', 'node', 'scripts/breaking.mjs'],
  ['Kubernetes control plane for tests', 'node', 'test/src/k8s/control-plane/main.ts'],
].map((args) => step(...args));
const ran = step('tests', 'nx', 'run-many', '-t', 'test', '--parallel=1', '--output-style=stream');

const total = { passed: 0, failed: 0, skipped: 0 };
for (const ok of checks) total[ok ? 'passed' : 'failed']++;
for (const file of readdirSync(results)) {
  const counts = JSON.parse(readFileSync(join(results, file), 'utf8'));
  for (const key of Object.keys(total)) total[key] += counts[key];
}
if (!ran && total.failed === 0) total.failed++;
process.exitCode = total.failed > 0 ? 1 : 0;
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
