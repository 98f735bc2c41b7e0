// The whole test command: static checks as Nx targets, then every package's tests. The last line is the total.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Lines of an error's text in the list at the end. */
const MAX_MESSAGE_LINES = 5;
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

const CHECKS = [
  ['format and lint', 'nx', 'run', 'online-cnclip:lint'],
  ['types', 'nx', 'run', 'online-cnclip:typecheck'],
  ['generated contracts are current', 'node', 'scripts/generate.mjs', '--check'],
  ['contracts stay compatible', 'node', 'scripts/breaking.mjs'],
  ['Kubernetes control plane for tests', 'node', 'test/src/k8s/control-plane/main.ts'],
];
const checks = CHECKS.map((args) => step(...args));
const ran = step('tests', 'nx', 'run-many', '-t', 'test', '--parallel=1', '--output-style=stream');

const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const flaky = [];
checks.forEach((ok, index) => {
  total[ok ? 'passed' : 'failed']++;
  if (!ok) failures.push({ file: 'check', test: CHECKS[index][0], message: 'see above' });
});
for (const file of readdirSync(results)) {
  const { failures: some, flaky: others, ...counts } = JSON.parse(readFileSync(join(results, file), 'utf8'));
  for (const key of Object.keys(total)) total[key] += counts[key];
  failures.push(...some);
  flaky.push(...others);
}
if (!ran && total.failed === 0) total.failed++;
process.exitCode = total.failed > 0 ? 1 : 0;
list('Failed', failures);
list('Failed, and passed when its file ran again alone', flaky);
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);

/** At the very end, because what a hundred files print lies before it. */
function list(title, entries) {
  if (entries.length) console.log(`\n== ${title}`);
  for (const { file, test, message } of entries)
    console.log(`${file}: ${test}\n    ${message.split('\n').slice(0, MAX_MESSAGE_LINES).join('\n    ')}`);
}
