import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const manifest = JSON.parse(read('package.json'));
const guides = ['README.md', 'README.zh.md', ...globSync('docs/**/*.md', { cwd: root })];

/** Commands of npm itself. */
const BUILT_IN = new Set(['ci', 'install', 'audit']);

/** Inline code and shell blocks: what a reader would type. */
function commandsOf(path: string): string[] {
  const text = read(path);
  const blocks = [...text.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = '']) => block.split('\n'));
  const inline = [...text.replaceAll(/```.*?```/gs, '').matchAll(/`([^`\n]+)`/g)].map(
    ([, code = '']) => code,
  );
  return [...blocks, ...inline].map((line) => line.replace(/\s+#.*$/, '').trim()).filter(Boolean);
}

const commands = guides.flatMap((guide) => commandsOf(guide).map((command) => ({ guide, command })));

test('every npm script that the documentation names is in package.json', () => {
  const named = commands.flatMap(({ guide, command }) => {
    const [, script] = /^npm (?:run )?([a-z0-9:-]+)/.exec(command) ?? [];
    return script === undefined || BUILT_IN.has(script) ? [] : [{ guide, script }];
  });
  assert.ok(named.length > 5, `${named.length} npm commands found`);
  for (const { guide, script } of named) assert.ok(script in manifest.scripts, `${guide}: npm run ${script}`);
});

test('both READMEs give the same commands', () => {
  const typed = (guide: string) =>
    commandsOf(guide)
      .filter((command) => /^(npm|npx|node) /.test(command))
      .sort();
  assert.deepEqual(typed('README.zh.md'), typed('README.md'));
});

test('every file that the documentation links to is there', () => {
  const links = guides.flatMap((guide) =>
    [...read(guide).matchAll(/\]\(([^)#\s]+)\)/g)].map(([, target = '']) => ({ guide, target })),
  );
  const missing = links
    .filter(({ target }) => !target.includes('://'))
    .filter(({ guide, target }) => !existsSync(join(root, normalize(join(dirname(guide), target)))));
  assert.deepEqual(missing, []);
});

test('the launcher options that the documentation names are in its help text', async () => {
  const { stdout } = await run(process.execPath, [join(root, 'services/launcher/src/main.ts'), '--help']);
  for (const { guide, command } of commands)
    if (command.startsWith('npm start -- '))
      for (const [flag] of command.matchAll(/--[a-z-]+/g))
        assert.ok(stdout.includes(flag), `${guide}: ${command}`);
});

test('the cnclip commands that the documentation names have a help text', async () => {
  const named = new Set<string>();
  for (const { command } of commands) {
    const [, words] = /^(?:npx )?cnclip ((?:[a-z][a-z-]*(?: |$))+)/.exec(command) ?? [];
    if (words !== undefined) named.add(words.trim());
  }
  assert.ok(named.size > 5, `${named.size} cnclip commands found`);
  const cnclip = join(root, 'node_modules/.bin/cnclip');
  for (const words of named) {
    const { stdout } = await run(cnclip, [...words.split(' '), '--help']);
    // The last word may be what is asked for: a folder, say.
    const [, usage = ''] = /Usage: cnclip ([a-z -]+?) (?:\[|<)/.exec(stdout) ?? [];
    const isArgument = words.startsWith(`${usage} `) && /Usage: .*</.test(stdout);
    assert.ok(usage === words || isArgument, `${words}: ${usage}`);
  }
});

test('what starts a service prints its settings', async () => {
  const started = commands.flatMap(({ command }) => /^node (\S+main\.ts) --help$/.exec(command)?.[1] ?? []);
  assert.ok(started.length > 0);
  for (const entry of new Set(started)) {
    const { stdout } = await run(process.execPath, [join(root, entry), '--help']);
    assert.match(stdout, /--listen-address/);
  }
});
