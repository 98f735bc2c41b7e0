import { readFileSync } from 'node:fs';
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FailedPreconditionError } from './errors.ts';

const LOCK = '.lock';

/** Its owner touches it so often. */
const BEAT_MS = 10_000;

/** So long after the last beat an owner on another machine is taken for gone; on this one its process is looked for. */
const ABANDONED_MS = 60_000;

const POLL_MS = 100;

export interface LockOptions {
  /** So long an owner that lives is waited for: one that was told to end needs a moment. */
  readonly patienceMs?: number;
}

interface Owner {
  readonly host: string;
  readonly pid: number;
  /** When the process began, in ticks since the machine's own start: a process id is given out again. */
  readonly began: string;
}

/**
 * Makes this process the only one that uses a folder, which must exist. The lock of a process that is no more is taken over;
 * that of one on another machine when it has not stirred for a minute.
 *
 * @returns what gives the folder back.
 * @throws FailedPreconditionError naming the process that has it.
 */
export async function lockFolder(
  folder: string,
  { patienceMs = 0 }: LockOptions = {},
): Promise<() => Promise<void>> {
  const path = join(folder, LOCK);
  const deadline = performance.now() + patienceMs;
  const own = JSON.stringify({ host: hostname(), pid: process.pid, began: beginningOf(process.pid) });
  while (!(await create(path, own))) {
    const owner = await readOwner(path);
    if (owner === undefined || !(await isAlive(owner, path))) await rm(path, { force: true });
    else if (performance.now() < deadline) await sleep(POLL_MS);
    else
      throw new FailedPreconditionError(`process ${owner.pid} on ${owner.host} uses this folder`, {
        place: folder,
      });
  }
  const beat = setInterval(() => {
    const now = new Date();
    // A folder that was removed is nobody's any more.
    utimes(path, now, now).catch(() => {});
  }, BEAT_MS);
  beat.unref();
  return async () => {
    clearInterval(beat);
    await rm(path, { force: true });
  };
}

async function create(path: string, content: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(content);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined for a lock that is gone, or that was never written to its end. */
async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

async function isAlive({ host, pid, began }: Owner, path: string): Promise<boolean> {
  if (host === hostname()) return beginningOf(pid) === began;
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }));
  return Math.abs(Date.now() - mtimeMs) < ABANDONED_MS;
}

/** Undefined for a process that is no more. */
function beginningOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : rest[18];
  } catch {
    return undefined;
  }
}
