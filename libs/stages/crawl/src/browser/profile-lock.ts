import { readFileSync } from 'node:fs';
import { readlink, rm, symlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FailedPreconditionError } from '@online-cnclip/foundation';

/** Of the browser that was started on a folder: a headless shell keeps no lock itself. As Chromium's, a link to `host-pid`. */
const LOCK = 'BrowserLock';
/** Files that Chromium keeps while it runs on a userDataDir; left behind when it is killed. */
const SINGLETONS = ['SingletonLock', 'SingletonSocket', 'SingletonCookie'] as const;
/** A browser whose service was killed a moment ago needs about this long to notice and end. */
const ENDING_MS = 5_000;
const POLL_MS = 100;

/**
 * Removes the lock that a killed browser left, so that Chromium starts instead of asking a process that is gone.
 *
 * @throws FailedPreconditionError when a browser on this or another machine still uses the folder.
 */
export async function clearStaleLock(userDataDir: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + ENDING_MS;
  for (;;) {
    const owner = (await lockOwner(userDataDir, LOCK)) ?? (await lockOwner(userDataDir, SINGLETONS[0]));
    if (owner === undefined) return;
    if (owner.host !== hostname())
      throw new FailedPreconditionError(
        `is locked by a browser on ${owner.host}; if that machine is gone, remove ${[LOCK, ...SINGLETONS].join(', ')}`,
        { place: userDataDir },
      );
    if (!isBrowserOf(owner.pid, userDataDir)) break;
    if (Date.now() > deadline)
      throw new FailedPreconditionError(`is in use by the browser with process id ${owner.pid}`, {
        place: userDataDir,
      });
    await sleep(POLL_MS, undefined, { signal });
  }
  await Promise.all([LOCK, ...SINGLETONS].map((name) => rm(join(userDataDir, name), { force: true })));
}

/** Says that this browser uses the folder. */
export async function lockProfile(userDataDir: string, pid: number): Promise<void> {
  await rm(join(userDataDir, LOCK), { force: true });
  await symlink(`${hostname()}-${pid}`, join(userDataDir, LOCK));
}

async function lockOwner(
  userDataDir: string,
  lock: string,
): Promise<{ host: string; pid: number } | undefined> {
  try {
    const target = await readlink(join(userDataDir, lock));
    const dash = target.lastIndexOf('-');
    return { host: target.slice(0, dash), pid: Number(target.slice(dash + 1)) };
  } catch {
    return undefined;
  }
}

/** Process ids are given out again: only a process that was started on this folder counts as its owner. */
function isBrowserOf(pid: number, userDataDir: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(userDataDir);
  } catch {
    return false;
  }
}
