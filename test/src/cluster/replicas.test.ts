import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipWithoutGloo } from '@online-cnclip/collectives/testing';
import {
  CommandProcess,
  launch,
  lossesOf,
  newFolder,
  type Outcome,
  type Run,
  savedState,
  trainArguments,
} from './launched-run.ts';

const skip = skipWithoutGloo();

/** `CLUSTER_KILLS=50 CLUSTER_STEPS=200 npm run test:cluster` is the long form. */
const KILLS = Number(process.env['CLUSTER_KILLS'] ?? 3);
const STEPS = Number(process.env['CLUSTER_STEPS'] ?? 16);
/** Which replica dies when is drawn by this, so that a failure can be seen again. */
const SEED = Number(process.env['CLUSTER_SEED'] ?? 1);

const succeed = async (one: CommandProcess): Promise<Outcome> => {
  const outcome = await one.outcome;
  assert.equal(outcome.code, 0, outcome.lines.slice(-20).join('\n'));
  return outcome;
};

test('2 replicas train what 1 trains with the same global batch', { skip }, async () => {
  const logs = newFolder();
  const run = (name: string, batchSize: number): Run => ({
    name,
    logs,
    batchSize,
    steps: 6,
    // Large enough that Adam does not blow up the noise in gradients that are truly zero.
    options: ['--eps', '0.001'],
  });
  await succeed(launch(1, 0, run('one', 4)));
  await succeed(launch(2, 0, run('two', 2)));
  const [one, two] = [lossesOf({ logs, name: 'one' }), lossesOf({ logs, name: 'two' })];
  assert.equal(one.size, 6);
  for (const [step, loss] of one)
    assert.ok(
      Math.abs(Number(two.get(step)) / Number(loss) - 1) < 1e-5,
      `step ${step}: ${two.get(step)}, ${loss}`,
    );
});

test(`${KILLS} SIGKILLs of replicas in ${STEPS} steps change nothing`, { skip }, async () => {
  const logs = newFolder();
  const run = (name: string): Run => ({
    name,
    logs,
    batchSize: 2,
    steps: STEPS,
    options: ['--save-step-frequency', '5'],
  });
  await succeed(launch(3, 0, run('calm')));
  const stormy = launch(3, KILLS * 2, run('stormy'));
  const random = generator(SEED);
  let killed = 0;
  stormy.onLine((line) => {
    const [, step] = /Global Steps: (\d+)\//.exec(line) ?? [];
    if (step === undefined || Number(step) >= STEPS || killed >= KILLS) return;
    // Spread over the run: what is left of the kills over what is left of the steps.
    if (random() > (KILLS - killed) / Math.max(1, STEPS - Number(step) - 1)) return;
    const victim = Math.floor(random() * 3);
    setTimeout(() => {
      if (stormy.killReplica(victim)) killed++;
    }, random() * 200);
  });
  await succeed(stormy);
  assert.ok(killed >= Math.min(KILLS, 1), 'a replica was killed');
  const [expected, actual] = [await savedState(run('calm')), await savedState(run('stormy'))];
  assert.deepEqual([...actual.keys()], [...expected.keys()]);
  for (const [name, values] of expected)
    assert.ok(bytesOf(values).equals(bytesOf(actual.get(name) as Float32Array)), name);
  assert.deepEqual(lossesOf(run('stormy')), lossesOf(run('calm')));
});

test('without restarts one that is lost ends all, with its status', { skip }, async () => {
  const run = { name: 'run', logs: newFolder(), batchSize: 2, steps: 10_000 };
  const launched = launch(2, 0, run);
  let isKilled = false;
  launched.onLine((line) => {
    if (!isKilled && /Global Steps: 2\//.test(line)) isKilled = launched.killReplica(1);
  });
  const { code, lines } = await launched.outcome;
  assert.equal(code, 137);
  assert.ok(lines.some((line) => /^replica 1 ended by SIGKILL: ending all$/.test(line)));
  // What the other one had trained is saved.
  assert.ok(((await savedState(run)).get('step')?.[0] as number) >= 2);
});

test('SIGTERM stops all replicas after one step and saves once', { skip }, async () => {
  const run = { name: 'run', logs: newFolder(), batchSize: 2, steps: 10_000 };
  const launched = launch(2, 0, run);
  launched.onLine((line) => {
    if (/Global Steps: 3\//.test(line)) launched.kill('SIGTERM');
  });
  const { code, lines } = await launched.outcome;
  assert.equal(code, 130, lines.slice(-20).join('\n'));
  const ends = lines.flatMap((line) => /stopped at step (\d+)/.exec(line)?.[1] ?? []);
  assert.equal(ends.length, 2);
  assert.equal(new Set(ends).size, 1);
  assert.equal((await savedState(run)).get('step')?.[0], Number(ends[0]));
  assert.equal(lines.filter((line) => /Saved checkpoint/.test(line)).length, 1);
});

/** Two replicas by hand, as on two machines. */
async function pair(
  variables: readonly Readonly<Record<string, string>>[],
  options: readonly (readonly string[])[] = [[], []],
): Promise<readonly Outcome[]> {
  const logs = newFolder();
  const port = String(20_000 + Math.floor(Math.random() * 10_000));
  return Promise.all(
    variables.map(
      (one, i) =>
        new CommandProcess(
          trainArguments({ name: 'run', logs, batchSize: 2, steps: 2, options: options[i] ?? [] }),
          { WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: port, ...one },
        ).outcome,
    ),
  );
}

for (const [what, variables, options, message] of [
  [
    'another option',
    [{ RANK: '0' }, { RANK: '1' }],
    [[], ['--lr', '0.1']],
    /do not train the same: lr "0.1" and "0.0005"/,
  ],
  [
    'another batch size',
    [{ RANK: '0' }, { RANK: '1' }],
    [[], ['--batch-size', '3']],
    /do not train the same: batchSize "3" and "2"/,
  ],
  [
    'another world size',
    [{ RANK: '0' }, { RANK: '1', WORLD_SIZE: '3' }],
    [[], []],
    /different numbers of replicas: 3 and 2/,
  ],
] as const)
  test(`${what} is a clear error on every replica`, { skip }, async () => {
    for (const { code, lines } of await pair(variables, options)) {
      assert.equal(code, 1);
      assert.match(lines.at(-1) ?? '', message);
    }
  });

test('a rank twice is a clear error on every replica', { skip }, async () => {
  const outcomes = await pair(
    [
      { RANK: '0', WORLD_SIZE: '3' },
      { RANK: '1', WORLD_SIZE: '3' },
      { RANK: '1', WORLD_SIZE: '3' },
    ],
    [[], [], []],
  );
  for (const { code, lines } of outcomes) {
    assert.equal(code, 1);
    assert.match(lines.at(-1) ?? '', /two replicas have rank 1/);
  }
});

test('variables that are wrong are named', async () => {
  for (const [variables, message] of [
    [{ RANK: '2' }, /^cnclip: RANK: 2 is not a rank of 2 replicas/],
    [{ RANK: 'x' }, /^cnclip: RANK: "x" is not valid/],
    [{ RANK: '1', MASTER_PORT: '' }, /^cnclip: MASTER_PORT: "" is not valid/],
  ] as const) {
    const [outcome] = await pair([variables]);
    assert.equal(outcome?.code, 2);
    assert.match(outcome.lines.at(-1) ?? '', message);
  }
});

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Numbers from 0 to 1 (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
