// Runs the *.test.ts files of the package in the current folder with node:test, prints the failures in full,
// and leaves the counts in var/test-results/ for scripts/test.mjs to add up.
// A file with a failure runs once more, alone: what passes then was too slow beside another file, or is flaky, and is
// reported as such; what fails again has failed.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

// Nx asks for colours; what tests read of their child processes must be plain.
delete process.env.FORCE_COLOR;
process.env.NO_COLOR = '1';

const FILE_TIMEOUT_MS = 600_000;
const name = JSON.parse(readFileSync('package.json', 'utf8')).name.split('/').at(-1);
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const results = join(root, 'var/test-results');
const only = process.argv.slice(2);
const files = (only.length ? only : globSync('src/**/*.test.ts'))
  .map((file) => join(process.cwd(), file))
  .sort();

/** @returns counts and failures of each file: Map<file, { passed, failed, skipped, failures: [{ test, message }] }>. */
async function runFiles(files, concurrency) {
  const outcomes = new Map(files.map((file) => [file, { passed: 0, failed: 0, skipped: 0, failures: [] }]));
  const stream = run({ files, concurrency, timeout: FILE_TIMEOUT_MS });
  // A suite that is skipped is no test to node:test, and its tests never come into being: it counts as one.
  const skippedSuites = new Map(files.map((file) => [file, 0]));
  stream.on('test:pass', ({ file, details, skip }) => {
    if (details.type === 'suite' && skip !== undefined)
      skippedSuites.set(file, (skippedSuites.get(file) ?? 0) + 1);
  });
  stream.on('test:summary', ({ file, counts }) => {
    const outcome = outcomes.get(file);
    if (!outcome) return;
    outcome.passed = counts.passed;
    outcome.failed = counts.failed + counts.cancelled;
    outcome.skipped = counts.skipped + counts.todo;
  });
  stream.on('test:fail', ({ file, name: test, details, todo, skip }) => {
    const outcome = outcomes.get(file);
    if (!outcome || todo !== undefined || skip !== undefined) return;
    const { cause, message } = details.error ?? {};
    outcome.failures.push({ test, message: String(cause?.message ?? cause ?? message) });
  });
  stream.compose(new spec()).pipe(process.stdout);
  await new Promise((resolve) => stream.on('close', resolve));
  for (const [file, outcome] of outcomes) {
    outcome.skipped += skippedSuites.get(file);
    // A file that ended before it could report (a crash, an import that fails) has a failure and no counts.
    outcome.failed = Math.max(outcome.failed, outcome.failures.length ? 1 : 0);
  }
  return outcomes;
}

const outcomes = await runFiles(files, 2);
const failed = files.filter((file) => outcomes.get(file).failed > 0);
const flaky = [];
if (failed.length) {
  console.log(`\n${failed.length} files with failures run once more, one at a time`);
  for (const [file, outcome] of await runFiles(failed, 1)) {
    if (outcome.failed === 0) flaky.push({ file, failures: outcomes.get(file).failures });
    outcomes.set(file, outcome);
  }
}

const counts = { passed: 0, failed: 0, skipped: 0 };
for (const outcome of outcomes.values()) for (const key of Object.keys(counts)) counts[key] += outcome[key];
const placed = ({ file, failures }) =>
  failures.map(({ test, message }) => ({ file: relative(root, file), test, message }));
const failures = [...outcomes].flatMap(([file, outcome]) => placed({ file, failures: outcome.failures }));
mkdirSync(results, { recursive: true });
writeFileSync(
  join(results, `${name}.json`),
  JSON.stringify({ ...counts, failures, flaky: flaky.flatMap(placed) }),
);
process.exitCode = counts.failed > 0 ? 1 : 0;
