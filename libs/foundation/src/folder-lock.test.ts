import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { FailedPreconditionError } from './errors.ts';
import { lockFolder } from './folder-lock.ts';

let folder: string;
let lock: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'folder-lock-'));
  lock = join(folder, '.lock');
});
afterEach(() => rmSync(folder, { recursive: true }));

const isTaken = (error: unknown): boolean =>
  error instanceof FailedPreconditionError &&
  error.place === folder &&
  /uses this folder/.test(error.message);

test('a folder has one owner, and is free again when it is given back', async () => {
  const unlock = await lockFolder(folder);
  await assert.rejects(lockFolder(folder), isTaken);
  const patient = lockFolder(folder, { patienceMs: 60_000 });
  await unlock();
  await (await patient)();
});

test('a process that was killed has it no more', async () => {
  const module = new URL('./folder-lock.ts', import.meta.url).href;
  const script = `const { lockFolder } = await import(${JSON.stringify(module)}); await lockFolder(${JSON.stringify(folder)}); console.log('locked'); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await assert.rejects(lockFolder(folder), isTaken);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (await lockFolder(folder))();
});

test('a process id that was given out again is another process; a lock half written is none', async () => {
  const unlock = await lockFolder(folder);
  const owner = JSON.parse(readFileSync(lock, 'utf8'));
  await unlock();
  for (const stale of [JSON.stringify({ ...owner, began: '1' }), '{"host":', '']) {
    writeFileSync(lock, stale);
    await (await lockFolder(folder))();
  }
});

test('an owner on another machine has it as long as it stirs', async () => {
  writeFileSync(lock, JSON.stringify({ host: 'another', pid: 1, began: '1' }));
  await assert.rejects(lockFolder(folder), /process 1 on another uses this folder/);
  const longAgo = new Date(Date.now() - 3_600_000);
  utimesSync(lock, longAgo, longAgo);
  await (await lockFolder(folder))();
});
