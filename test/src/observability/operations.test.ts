import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventsOfSource, logEventsOf } from './log-events.ts';
import { readTables } from './tables.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const operations = readFileSync(join(root, 'docs/operations.md'), 'utf8');

test('docs/operations.md has every line that a service may log, with its level, and no other', () => {
  const documented = readTables(operations, ['line', 'level', 'what it means, and what to do']);
  const events = logEventsOf(root);
  assert.ok(events.length > 40, String(events.length));
  const keysOf = (pairs: (readonly (string | undefined)[])[]) =>
    [...new Set(pairs.map(([message, level]) => `${level} ${message}`))].sort();
  assert.deepEqual(
    keysOf(documented.map(([message, level]) => [message, level])),
    keysOf(events.map(({ message, level }) => [message, level])),
  );
  for (const [message, , meaning = ''] of documented) assert.ok(meaning.length > 10, message);
});

test('the lines are read off the sources whatever their form', () => {
  const dollar = '$';
  const source = [
    "logger.info({ a: f(1) }, 'one');",
    `this.#options.logger.warn(\n  { b },\n  \`two ${dollar}{c} of ${dollar}{d}\`,\n);`,
    "logger.debug('not shown');",
    'logger.fatal({ err }, error.message);',
    "this.#logger.error('it is (not) so');",
  ].join('\n');
  assert.deepEqual(
    eventsOfSource(source, 'x.ts').map(({ level, message }) => [level, message]),
    [
      ['info', 'one'],
      ['warn', 'two … of …'],
      ['error', 'it is (not) so'],
    ],
  );
});

/** Limits by the files that declare them; only whole expressions of numbers are read. */
const LIMIT = /^(?:export )?const ((?:MAX|MIN|DEFAULT)_[A-Z0-9_]+)(?:: number)? = ([\d_ *+-]+);$/gm;

test('the limits of docs/operations.md are those of the code, all of each file that it names', () => {
  const documented = readTables(operations, ['limit', 'value', 'where', 'beyond it']);
  const files = new Set(documented.map(([, , file = '']) => file));
  assert.ok(files.size > 5);
  const declared = [...files].flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(LIMIT)].map(([, name, value = '']) => [
      name,
      file,
      valueOfExpression(value),
    ]),
  );
  const sorted = (rows: unknown[][]) => rows.map((row) => row.join(' ')).sort();
  assert.deepEqual(
    sorted(documented.map(([name, value = '', file]) => [name, file, Number(value.replaceAll(',', ''))])),
    sorted(declared),
  );
});

/** Of numbers and the signs between them, which are checked to be nothing else. */
function valueOfExpression(text: string): number {
  return text
    .split('*')
    .map((factor) => {
      const power = factor.trim().replaceAll('_', '');
      assert.match(power, /^-?\d+$/, text);
      return Number(power);
    })
    .reduce((product, factor) => product * factor, 1);
}
