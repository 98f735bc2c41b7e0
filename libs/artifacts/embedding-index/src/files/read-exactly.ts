import { type FileHandle, open } from 'node:fs/promises';
import { DataLossError, NotFoundError } from '@online-cnclip/foundation';

/** Opens a file for reading. @throws NotFoundError when there is none. */
export async function openForReading(path: string, name = path): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new NotFoundError('there is no such file', { place: name, cause });
    throw cause;
  }
}

/** Fills `target` from a position. @throws DataLossError when the file ends before. */
export async function readExactly(
  file: FileHandle,
  target: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await file.read(target, done, target.length - done, position + done);
    if (bytesRead === 0)
      throw new DataLossError(`ends after ${position + done} bytes, ${target.length - done} are missing`, {
        place: path,
      });
    done += bytesRead;
  }
}
