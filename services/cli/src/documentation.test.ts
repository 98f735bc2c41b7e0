// docs/cli.md against the commands as they are: options that exist, values that are taken, an example for each command.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { createProgram, withDashes } from './program.ts';

const guide = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
const examples = [...guide.matchAll(/```sh\n(.*?)```/gs)]
  .flatMap(([, block = '']) => block.trim().split('\n'))
  .map((line) => Array.from(line.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain ?? ''));

const context: CliContext = {
  dataPath: undefined,
  environment: {},
  clientSecurity: () => assert.fail('nothing is called'),
  allowPlaintext: false,
  progress: { note() {}, start: () => ({ update() {}, end() {} }) },
  print() {},
  stopSignal: () => new AbortController().signal,
  replica: () => undefined,
  startSelf: () => assert.fail('nothing is run'),
  setExitCode() {},
};

let program: Command;
before(async () => {
  program = await createProgram(context);
});

/** The commands that do something: not the ones that only group others. */
const leavesOf = (command: Command): Command[] =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);

const pathOf = (command: Command): string =>
  command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();

test('every example is read to its end, options and values, by a command that is there', async () => {
  const used = new Set<Command>();
  for (const leaf of leavesOf(program)) leaf.action(() => void used.add(leaf));
  assert.ok(examples.length > 10, `${examples.length} examples found`);
  const named = new Set<string>();
  for (const [npx, cnclip, ...words] of examples) {
    assert.deepEqual([npx, cnclip], ['npx', 'cnclip']);
    used.clear();
    await program.parseAsync(words, { from: 'user' });
    assert.equal(used.size, 1, words.join(' '));
    for (const command of used) named.add(pathOf(command));
  }
  const all = leavesOf(program).map(pathOf);
  assert.deepEqual([...named].sort(), all.sort(), 'each command has its example');
});

test('the options that the text names exist', () => {
  const flags = new Set(leavesOf(program).flatMap(({ options }) => options.map(({ long }) => long)));
  const text = guide.replaceAll(/```.*?```/gs, '');
  const named = new Set(Array.from(text.matchAll(/`(--[a-z_-]+)/g), ([, flag = '']) => withDashes(flag)));
  for (const absent of ['--help', '--eval-batch-size']) named.delete(absent);
  assert.ok(named.size > 5, `${named.size} options found`);
  for (const flag of named) assert.ok(flags.has(flag), flag);
});

test('every option and command says what it is', () => {
  for (const leaf of leavesOf(program)) {
    assert.ok(leaf.description(), pathOf(leaf));
    for (const option of leaf.options) assert.ok(option.description, `${pathOf(leaf)} ${option.long}`);
  }
});
