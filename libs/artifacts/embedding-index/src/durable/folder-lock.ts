import { readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { FailedPreconditionError } from '@online-cnclip/foundation';

const FILE = '.lock';

/** Folders that this process has. */
const held = new Set<string>();

/**
 * Keeps a second process of this machine from writing to a folder. The file of a process that was killed is taken over; so is
 * one of another machine, whose processes cannot be asked: a volume that several machines share is not for this engine.
 */
export class FolderLock {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws FailedPreconditionError naming the process that has the folder. */
  static async take(folder: string): Promise<FolderLock> {
    const path = join(folder, FILE);
    const owner = held.has(path) ? process.pid : await livingOwner(path);
    if (owner !== undefined)
      throw new FailedPreconditionError(`is in use by process ${owner}`, { place: folder });
    held.add(path);
    await writeFile(path, `${process.pid} ${hostname()}\n`);
    return new FolderLock(path);
  }

  async release(): Promise<void> {
    await rm(this.#path, { force: true });
    held.delete(this.#path);
  }
}

async function livingOwner(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const [pid, host] = text.trim().split(' ');
  const owner = Number(pid);
  // In a container the process before this one often had the same number.
  if (!Number.isInteger(owner) || owner < 1 || owner === process.pid || host !== hostname()) return undefined;
  try {
    process.kill(owner, 0);
    return owner;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? owner : undefined;
  }
}
