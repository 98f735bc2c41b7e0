import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./testing/echo-service.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'profile-'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

/** A service, and its log as it is written. */
async function start(profileFolder: string) {
  const flags = ['--listen-address', '127.0.0.1:0', '--metrics-address', 'off'];
  const child = spawn(process.execPath, [program, ...flags, '--profile-folder', profileFolder], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  const ended = once(child, 'exit');
  const entries: { msg: string; path?: string }[] = [];
  const lines = createInterface({ input: child.stderr });
  lines.on('line', (line) => entries.push(JSON.parse(line)));
  const waitFor = async (msg: string) => {
    for (;;) {
      const found = entries.find((entry) => entry.msg === msg);
      if (found) return found;
      await once(lines, 'line');
    }
  };
  await waitFor('started');
  return { child, ended, waitFor };
}

test('SIGUSR2 writes a profile as DevTools reads it; a second signal meanwhile, and the end of the process, do no harm', async () => {
  const path = join(folder, 'made', 'on demand');
  const { child, ended, waitFor } = await start(path);
  child.kill('SIGUSR2');
  await waitFor('CPU profile begun');
  child.kill('SIGUSR2');
  await waitFor('a CPU profile is being taken already');
  // Earlier than the profile's own end: what there is of it is written.
  child.kill('SIGTERM');
  const written = await waitFor('CPU profile written');
  assert.deepEqual(await ended, [0, null]);
  const [file = '', ...others] = readdirSync(path);
  assert.deepEqual(others, []);
  assert.equal(written.path, join(path, file));
  assert.match(file, /^echo-\d{4}-\d\d-\d\dT[\d-]+Z-\d+\.cpuprofile$/);
  // A tree of functions, and which of them was seen when.
  const profile = JSON.parse(readFileSync(join(path, file), 'utf8'));
  const ids = new Set(profile.nodes.map(({ id }: { id: number }) => id));
  assert.equal(profile.nodes[0].callFrame.functionName, '(root)');
  assert.ok(profile.samples.length > 0);
  assert.ok(profile.samples.every((id: number) => ids.has(id)));
  assert.equal(profile.samples.length, profile.timeDeltas.length);
  assert.ok(profile.endTime > profile.startTime);
});

test('a folder that cannot be is said, and harms nothing', async () => {
  const file = join(folder, 'a file');
  writeFileSync(file, '');
  const { child, ended, waitFor } = await start(join(file, 'below'));
  child.kill('SIGUSR2');
  await waitFor('CPU profile begun');
  child.kill('SIGTERM');
  await waitFor('no CPU profile could be taken');
  assert.deepEqual(await ended, [0, null]);
});
