import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { InvalidInputError } from '@online-cnclip/foundation';
import { loadSoak, soakNames } from './catalogue.ts';
import { parseSoakCommand } from './command-line.ts';
import { missed, runSoak } from './run-soak.ts';
import { atLeast, atMost, defineSoak, exactly, type Figure, type SoakContext } from './soak.ts';
import { formatTable } from './table.ts';

type TestBounds = { readonly minutes: number; readonly maxCalls: number };

const soakOf = (run: (context: SoakContext<TestBounds>) => Promise<{ figures: Figure[] }>) =>
  defineSoak<TestBounds>({
    name: 'made-up',
    description: 'what the test says',
    bounds: {
      short: { minutes: 1, maxCalls: 1 },
      default: { minutes: 5, maxCalls: 100 },
      long: { minutes: 30, maxCalls: 1_000 },
    },
    run,
  });

const quiet = soakOf(async () => ({ figures: [] }));

test('every soak in the folder has the name of its folder and bounds for each form', async () => {
  for (const name of soakNames()) {
    const { bounds } = await loadSoak(name);
    for (const form of [bounds.short, bounds.default, bounds.long])
      assert.deepEqual(Object.keys(form), Object.keys(bounds.default), name);
  }
});

test('an unknown name lists what there is', async () => {
  await assert.rejects(
    loadSoak('flood'),
    (error) => error instanceof InvalidInputError && /flood is no soak/.test(error.message),
  );
  const main = join(dirname(fileURLToPath(import.meta.url)), 'main.ts');
  const { status, stderr } = spawnSync(process.execPath, [main, 'flood'], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /^npm run soak -- NAME: flood is no soak; there are /);
});

test('bounds are the default ones, the long ones for minutes, and each by its own flag', () => {
  assert.deepEqual(parseSoakCommand(quiet, []).bounds, { minutes: 5, maxCalls: 100 });
  assert.deepEqual(parseSoakCommand(quiet, ['--long']).bounds, { minutes: 30, maxCalls: 1_000 });
  assert.deepEqual(parseSoakCommand(quiet, ['--minutes', '2']).bounds, { minutes: 2, maxCalls: 1_000 });
  assert.deepEqual(parseSoakCommand(quiet, ['--max-calls=7', '--seed', '3']), {
    bounds: { minutes: 5, maxCalls: 7 },
    seed: 3,
  });
  assert.throws(
    () => parseSoakCommand(quiet, ['--hours', '1']),
    /known: --long --minutes --max-calls --seed/,
  );
  assert.throws(() => parseSoakCommand(quiet, ['--minutes', 'many']), /--minutes: many is not a number/);
});

test('a soak that misses a target keeps its folder, one that does not leaves nothing', async () => {
  const folders: string[] = [];
  const soak = soakOf(async ({ folder, bounds }) => {
    folders.push(folder);
    writeFileSync(join(folder, 'data'), '');
    return { figures: [exactly('calls', bounds.maxCalls, 1), { name: 'rate', value: 0.5, unit: 'calls/s' }] };
  });
  const good = await runSoak(soak, { bounds: soak.bounds.short, seed: 5 });
  const bad = await runSoak(soak, { bounds: soak.bounds.long });
  assert.deepEqual(missed(good), []);
  assert.deepEqual(
    missed(bad).map(({ name }) => name),
    ['calls'],
  );
  assert.equal(good.seed, 5);
  assert.ok(good.hardware.cores > 0 && good.hardware.cpu.length > 0);
  assert.deepEqual(folders.map(existsSync), [false, true]);
  rmSync(folders[1] as string, { recursive: true });
});

test('processes that a soak leaves are killed with their own children, also when it throws', async () => {
  const pids: number[] = [];
  const soak = soakOf(async ({ children }) => {
    const script = "const c = require('child_process').spawn('sleep', ['1000']); console.log(c.pid)";
    const child = children.spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const grandchild = await new Promise<number>((resolve) =>
      child.stdout?.once('data', (data) => resolve(Number(data))),
    );
    pids.push(child.pid as number, grandchild);
    throw new Error('broken');
  });
  await assert.rejects(runSoak(soak, { bounds: soak.bounds.short }), /broken/);
  assert.equal(pids.length, 2);
  for (const pid of pids) await gone(pid);
});

test('an interrupted soak ends although it does not listen', async () => {
  const soak = soakOf(({ folder }) => {
    rmSync(folder, { recursive: true });
    return new Promise(() => {});
  });
  const interrupted = new AbortController();
  const running = runSoak(soak, { bounds: soak.bounds.short, signal: interrupted.signal });
  interrupted.abort();
  await assert.rejects(running, /cancelled/);
});

test('the table says which targets are met', () => {
  const figures = [
    atLeast('goodput', 0.875, 0.9, 'of capacity'),
    atMost('lost', 0, 0),
    { name: 'p50', value: 1.23456, unit: 'ms' },
  ];
  assert.deepEqual(formatTable(figures).split('\n'), [
    'figure   value               target',
    'goodput  0.8750 of capacity  >= 0.9  MISSED',
    'lost     0                   <= 0    met',
    'p50      1.235 ms',
  ]);
});

async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Also false for one that has ended and that nobody has looked after yet. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^Z/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
