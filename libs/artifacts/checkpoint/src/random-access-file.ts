import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DataLossError, InvalidInputError, messageOf, NotFoundError } from '@online-cnclip/foundation';

// One read call must stay below 2 GiB (the kernel's own limit).
const MAX_READ_BYTES = 1 << 30;

/** A file read at given positions; a read beyond its end is an error that names the file. */
export class RandomAccessFile {
  readonly path: string;
  readonly size: number;
  readonly #handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /** @throws NotFoundError, InvalidInputError when the path is not a readable regular file. */
  static async open(path: string): Promise<RandomAccessFile> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
        throw new NotFoundError('no such file', { place: path, cause });
      throw new InvalidInputError(`cannot be opened: ${messageOf(cause)}`, { place: path, cause });
    }
    const stat = await handle.stat();
    if (stat.isFile()) return new RandomAccessFile(path, stat.size, handle);
    await handle.close();
    throw new InvalidInputError('is not a file', { place: path });
  }

  get fd(): number {
    return this.#handle.fd;
  }

  /** Fills the target from the position on. @throws DataLossError when the file ends before. */
  async readInto(target: Uint8Array, position: number): Promise<void> {
    this.requireRange(position, target.byteLength);
    for (let done = 0; done < target.byteLength; ) {
      const length = Math.min(target.byteLength - done, MAX_READ_BYTES);
      const { bytesRead } = await this.#handle.read(target, done, length, position + done);
      if (bytesRead === 0) throw this.#shrunk();
      done += bytesRead;
    }
  }

  /** Small synchronous reads, for parsers that pull a few bytes at a time through a window. */
  readSync(position: number, length: number): Buffer {
    this.requireRange(position, length);
    const target = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const bytesRead = readSync(this.fd, target, done, length - done, position + done);
      if (bytesRead === 0) throw this.#shrunk();
      done += bytesRead;
    }
    return target;
  }

  requireRange(position: number, length: number): void {
    if (position >= 0 && length >= 0 && position + length <= this.size) return;
    throw new DataLossError(
      `is truncated or its header is wrong: bytes ${position} to ${position + length} of ${this.size} wanted`,
      { place: this.path },
    );
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  #shrunk(): DataLossError {
    return new DataLossError('became shorter while it was read', { place: this.path });
  }
}
