import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { AbortedError, syncPath } from '@online-cnclip/foundation';
import { ABANDONED_AFTER_MS } from './limits.ts';

// A folder is built as `.{name}.building-{host}-{pid}-{random}` beside its place. A file system cannot exchange two
// folders in one portable step, so the old one steps aside as `.{name}.replaced-…` for the moment between two
// renames; who finds it so (the process was killed in that moment) puts it back.

const HOST = hostname().replace(/[^A-Za-z0-9]/g, '_');
const SWAP_ATTEMPTS = 5;
/** Folders this process is building. */
const building = new Set<string>();

/**
 * Builds a folder beside `target` and puts it in its place when it is complete: whatever interrupts it, `target`
 * holds the old content or the whole new one. Removes what killed builds left behind.
 *
 * @param build fills the new folder; its files must be durable when it resolves.
 * @throws AbortedError when the same folder is being built already.
 */
export async function replaceFolder<T>(target: string, build: (folder: string) => Promise<T>): Promise<T> {
  const path = resolve(target);
  if (building.has(path)) throw new AbortedError('it is being built already', { place: target });
  building.add(path);
  try {
    await mkdir(dirname(path), { recursive: true });
    restoreReplaced(path);
    await removeAbandoned(path);
    return await buildAndSwap(path, build);
  } finally {
    building.delete(path);
  }
}

/** Puts a folder back whose replacing was interrupted in the moment it had stepped aside. */
export function restoreReplaced(target: string): void {
  if (existsSync(target) || !existsSync(dirname(target))) return;
  const aside = readdirSync(dirname(target)).find((name) => name.startsWith(prefix(target, 'replaced')));
  if (aside === undefined) return;
  try {
    renameSync(join(dirname(target), aside), target);
  } catch (error) {
    if (!existsSync(target)) throw error; // Else whoever was replacing it has ended.
  }
}

async function buildAndSwap<T>(path: string, build: (folder: string) => Promise<T>): Promise<T> {
  const suffix = `${HOST}-${process.pid}-${randomBytes(4).toString('hex')}`;
  const folder = join(dirname(path), prefix(path, 'building') + suffix);
  const aside = join(dirname(path), prefix(path, 'replaced') + suffix);
  await mkdir(folder);
  try {
    const result = await build(folder);
    await syncPath(folder);
    await swap(path, folder, aside);
    await syncPath(dirname(path));
    await rm(aside, { recursive: true, force: true });
    return result;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    restoreReplaced(path);
    throw error;
  }
}

async function swap(path: string, folder: string, aside: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (existsSync(path)) await rename(path, aside);
      await rename(folder, path);
      return;
    } catch (error) {
      // A reader that found no folder between the two renames put the old one back.
      if (attempt === SWAP_ATTEMPTS) throw error;
    }
  }
}

async function removeAbandoned(path: string): Promise<void> {
  const parent = dirname(path);
  for (const name of await readdir(parent)) {
    const isReplaced = name.startsWith(prefix(path, 'replaced'));
    if (!isReplaced && !name.startsWith(prefix(path, 'building'))) continue;
    const folder = join(parent, name);
    if (!isReplaced && (await isInUse(folder))) {
      if (isOfThisHost(path, name)) throw new AbortedError('it is being built already', { place: path });
      continue; // Another host's build: it and this one each replace the whole folder.
    }
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether somebody may still be writing. A pid says nothing about another host, nor, being reused, for long. */
async function isInUse(folder: string): Promise<boolean> {
  if (Date.now() - (await lastWritten(folder)) > ABANDONED_AFTER_MS) return false;
  const [host, pid] = basename(folder).split('-').slice(-3);
  if (host !== HOST) return true;
  return Number(pid) !== process.pid && isAlive(Number(pid));
}

function isOfThisHost(path: string, name: string): boolean {
  return name.startsWith(`${prefix(path, 'building')}${HOST}-`);
}

async function lastWritten(folder: string): Promise<number> {
  const paths = [folder, ...(await readdir(folder, { recursive: true })).map((name) => join(folder, name))];
  const times = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  return Math.max(...times);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function prefix(path: string, state: 'building' | 'replaced'): string {
  return `.${basename(path)}.${state}-`;
}
