// Runs the *.test.ts files of the package in the current folder with node:test, prints the failures in full,
// and leaves the counts in var/test-results/ for scripts/test.mjs to add up.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

// Nx asks for colours; what tests read of their child processes must be plain.
delete process.env.FORCE_COLOR;
process.env.NO_COLOR = '1';

const name = JSON.parse(readFileSync('package.json', 'utf8')).name.split('/').at(-1);
const results = join(dirname(fileURLToPath(import.meta.url)), '../var/test-results');
const only = process.argv.slice(2);
const files = (only.length ? only : globSync('src/**/*.test.ts'))
  .map((file) => join(process.cwd(), file))
  .sort();

const counts = { passed: 0, failed: 0, skipped: 0 };
const stream = run({ files, concurrency: 2, timeout: 600_000 });
stream.on('test:summary', ({ file, counts: summary }) => {
  if (file !== undefined) return;
  counts.passed = summary.passed;
  counts.failed = summary.failed + summary.cancelled;
  counts.skipped = summary.skipped + summary.todo;
});
stream.compose(new spec()).pipe(process.stdout);
stream.on('close', () => {
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, `${name}.json`), JSON.stringify(counts));
  process.exitCode = counts.failed > 0 ? 1 : 0;
});
