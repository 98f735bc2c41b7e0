import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readCheckpoint } from '@online-cnclip/checkpoint';

const SCRIPT = fileURLToPath(new URL('./testing/run-to-be-killed.ts', import.meta.url));
const data = fileURLToPath(new URL('../../../../test/goldens/dataset/lmdb/valid', import.meta.url));
const MAX_STEPS = 12;

const folder = mkdtempSync(join(tmpdir(), 'train-kill-'));
after(() => rm(folder, { recursive: true }));

/** Lines `step batch` of a run that saves after each step; killed once it has printed some, or left to its end. */
async function run(name: string, kill?: { readonly afterLines: number; readonly delayMs: number }) {
  const options = {
    ...{ trainData: data, logs: folder, name, batchSize: 4, numWorkers: 0, maxSteps: MAX_STEPS },
    ...{ saveStepFrequency: 1, visionModel: 'ViT-mini-8-48', textModel: 'RoBERTa-mini-chinese' },
  };
  const child = spawn(process.execPath, [SCRIPT, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    if (lines.length !== kill?.afterLines) continue;
    await setTimeout(kill.delayMs);
    child.kill('SIGKILL');
  }
  await exited;
  return lines;
}

test('a run killed again and again, also while it saves, ends as one that was never killed', async () => {
  const whole = await run('whole');
  assert.equal(whole.length, MAX_STEPS);
  const seen = new Map<string, string>();
  let lines: string[] = [];
  for (const delayMs of [0, 10, 25, 60]) {
    lines = await run('killed', { afterLines: 2, delayMs });
    for (const line of lines) seen.set(line.split(' ')[0] ?? '', line);
    // Whatever was being written, the latest checkpoint, once there is one, is whole.
    const latest = join(folder, 'killed/checkpoints/epoch_latest.pt');
    if (lines.length > 2) assert.ok(((await readCheckpoint(latest)).step ?? 0) > 0);
  }
  for (const line of await run('killed')) seen.set(line.split(' ')[0] ?? '', line);
  assert.deepEqual([...seen.values()].sort(byStep), whole);
  const left = readdirSync(join(folder, 'killed/checkpoints')).filter((name) => !name.endsWith('.pt'));
  assert.deepEqual(left, [], 'half-written files are cleared away');
  const end = (name: string) => readCheckpoint(join(folder, name, 'checkpoints/epoch_latest.pt'));
  const [killed, expected] = [await end('killed'), await end('whole')];
  assert.deepEqual([killed.step, killed.optimizer?.step], [MAX_STEPS, MAX_STEPS]);
  assert.deepEqual(killed.parameters, expected.parameters);
  assert.deepEqual(killed.optimizer?.expAvg, expected.optimizer?.expAvg);
});

const byStep = (a: string, b: string) => Number(a.split(' ')[0]) - Number(b.split(' ')[0]);
