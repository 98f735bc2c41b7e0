import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FailedPreconditionError } from '@online-cnclip/foundation';

const LOCK = 'owner.pid';

/**
 * Makes this process the only one that uses a folder; the lock of a process that is no more is taken over.
 *
 * @returns what gives the folder back.
 * @throws FailedPreconditionError naming the process that has it.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, LOCK);
  for (;;) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(String(process.pid));
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''));
    if (isOther(owner)) throw new FailedPreconditionError(`process ${owner} has it`, { place: folder });
    await rm(path, { force: true });
  }
}

/** In a container every service may have been process 1: our own number is of one that is no more. */
function isOther(processId: number): boolean {
  if (!Number.isInteger(processId) || processId < 1 || processId === process.pid) return false;
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
