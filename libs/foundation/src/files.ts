import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file so that its path holds either the old content or the whole new one, whatever interrupts it:
 * a temporary file beside it, fsync, rename, fsync of the folder.
 *
 * @param write receives the temporary path and must have finished writing when its promise resolves.
 */
export async function replaceFileAtomically(
  path: string,
  write: (temporaryPath: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporaryPath = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await write(temporaryPath);
    await syncPath(temporaryPath);
    await rename(temporaryPath, path);
    await syncPath(folder);
  } catch (error) {
    await rm(temporaryPath, { force: true, recursive: true });
    throw error;
  }
}

/** Replaces a small file's content atomically. */
export async function writeFileAtomically(path: string, content: string | Uint8Array): Promise<void> {
  await replaceFileAtomically(path, async (temporaryPath) => {
    const file = await open(temporaryPath, 'w');
    try {
      await file.writeFile(content);
    } finally {
      await file.close();
    }
  });
}

/** Makes a file's content, or the names in a folder, durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
