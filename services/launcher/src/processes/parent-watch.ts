// Preloaded (`node --import`) into every process that the launcher starts. The launcher holds the other end of
// this process' standard input and never writes to it, so the end of the input means that the launcher is gone,
// by whatever signal: then this process ends as if it had been asked to.
import { fstatSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** Longest time that the service has to finish what it accepted, once the launcher is gone. */
const DRAIN_LIMIT_MS = 20_000;

const STANDARD_INPUT = 0;

/** Worker threads and forked children inherit the preload, but not the launcher's end of a pipe. */
function isChildOfLauncher(): boolean {
  if (!isMainThread) return false;
  const input = fstatSync(STANDARD_INPUT);
  return input.isSocket() || input.isFIFO();
}

if (isChildOfLauncher()) {
  process.stdin.once('close', () => {
    setTimeout(() => process.exit(1), DRAIN_LIMIT_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  process.stdin.on('error', () => process.stdin.destroy());
  process.stdin.resume();
  // A pipe at run time, which the type (a terminal's stream) does not say: it must not keep the process alive.
  (process.stdin as unknown as { unref(): void }).unref();
}
