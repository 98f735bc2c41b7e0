import { readSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  DataLossError,
  messageOf,
  ResourceExhaustedError,
  syncPath,
  UnavailableError,
} from '@online-cnclip/foundation';
import { readExactly } from '../files/read-exactly.ts';
import {
  decodeFrame,
  type EncodedOperation,
  encodeFrame,
  FRAME_HEADER_BYTES,
  isWhole,
  type PlacedOperation,
  parseFrameHeader,
} from './frame.ts';

/** Frames begin at multiples of it: their headers and payloads are. */
const FRAME_ALIGNMENT = 8;

/** Looked through at a time for a frame behind a damaged one. */
const SCAN_BYTES = 1024 * 1024;

/** Whether the system says that there is no room. */
const isFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '');

/**
 * An append-only file of frames. A frame is written only after the one before it is durable, so that at most the last one can
 * be torn; it was never acknowledged then, and is cut off when the file is opened.
 */
export class ItemFile {
  readonly #file: FileHandle;
  #path: string;
  #size: number;
  #broken: Error | undefined;
  #users = 1;

  private constructor(path: string, file: FileHandle, size: number) {
    this.#path = path;
    this.#file = file;
    this.#size = size;
  }

  /** Begins a file. @throws when it is there. */
  static async create(path: string): Promise<ItemFile> {
    return new ItemFile(path, await open(path, 'wx+'), 0);
  }

  /**
   * Opens a file and hands every operation to `visit`, in order.
   *
   * @param dimensionOf gives the numbers per vector, from the description in the first frame.
   * @returns the file, and the bytes of a torn frame that were cut off its end.
   * @throws DataLossError when anything but the last frame is damaged.
   */
  static async open(
    path: string,
    visit: (read: PlacedOperation) => void,
    dimensionOf: (description: string) => number,
  ): Promise<{ readonly file: ItemFile; readonly cutBytes: number }> {
    const handle = await open(path, 'r+');
    try {
      const { size } = await handle.stat();
      const end = await readFrames({ handle, path, size, visit, dimensionOf });
      if (end < size) {
        await handle.truncate(end);
        await handle.sync();
      }
      return { file: new ItemFile(path, handle, end), cutBytes: size - end };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get path(): string {
    return this.#path;
  }

  /** Bytes of whole frames. */
  get size(): number {
    return this.#size;
  }

  /**
   * Writes one frame.
   *
   * @returns where in the file its payload begins. Durable when the promise resolves, unless `sync` is false.
   * @throws ResourceExhaustedError when the disk is full: nothing was written. UnavailableError when it cannot be known what the
   *   disk holds: until the file is opened anew nothing more is written.
   */
  async append(operations: readonly EncodedOperation[], sync = true): Promise<number> {
    if (this.#broken) throw this.#broken;
    const frame = encodeFrame(operations);
    const at = this.#size;
    try {
      await writeAll(this.#file, frame, at);
    } catch (cause) {
      await this.#file.truncate(at).catch((error: unknown) => this.#break(error));
      if (!isFull(cause)) throw this.#break(cause);
      throw new ResourceExhaustedError(`the disk has no room for ${frame.length} bytes more`, {
        place: this.path,
        cause,
      });
    }
    if (sync) await this.sync();
    this.#size = at + frame.length;
    return at + FRAME_HEADER_BYTES;
  }

  async sync(): Promise<void> {
    await this.#file.datasync().catch((cause: unknown) => {
      // The system may have dropped the pages it could not write: a second sync would lie.
      throw this.#break(cause);
    });
  }

  /** Makes all that was written durable and gives the file its name, in place of another that may have it. */
  async publish(path: string): Promise<void> {
    await this.sync();
    await rename(this.#path, path);
    this.#path = path;
    await syncPath(dirname(path));
  }

  /** Fills `target` from a position, from the page cache as a rule. @throws DataLossError when the file ends before. */
  read(target: Uint8Array, position: number): void {
    let done = 0;
    while (done < target.length) {
      const count = readSync(this.#file.fd, target, done, target.length - done, position + done);
      if (count === 0) throw new DataLossError(`ends at ${position + done}`, { place: this.path });
      done += count;
    }
  }

  /** Keeps the file open until as many times released. */
  retain(): void {
    this.#users++;
  }

  async release(): Promise<void> {
    if (--this.#users === 0) await this.#file.close();
  }

  #break(cause: unknown): Error {
    this.#broken = new UnavailableError(`cannot be written any more: ${messageOf(cause)}`, {
      place: this.path,
      cause,
    });
    return this.#broken;
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

interface Reading {
  readonly handle: FileHandle;
  readonly path: string;
  readonly size: number;
  readonly visit: (read: PlacedOperation) => void;
  readonly dimensionOf: (description: string) => number;
}

/** @returns where the last whole frame ends. */
async function readFrames({ handle, path, size, visit, dimensionOf }: Reading): Promise<number> {
  let at = 0;
  let dimension = 0;
  while (at < size) {
    const payload = await readFrame(handle, path, at, size);
    if (!payload) {
      await requireNoFrameAfter(handle, path, at, size);
      return at;
    }
    const start = at + FRAME_HEADER_BYTES;
    for (const { operation, vectorsAt } of decodeFrame(payload, dimension, path)) {
      if (operation.kind === 'describe') dimension = dimensionOf(operation.text);
      else if (dimension === 0) throw new DataLossError('begins without a description', { place: path });
      visit({ operation, vectorsAt: start + vectorsAt });
    }
    at = start + payload.length;
  }
  return at;
}

/** The payload at a place; undefined when there is no whole frame. */
async function readFrame(
  handle: FileHandle,
  path: string,
  at: number,
  size: number,
): Promise<Buffer | undefined> {
  const rest = size - at;
  const header = Buffer.alloc(Math.min(FRAME_HEADER_BYTES, rest));
  await readExactly(handle, header, at, path);
  const parsed = parseFrameHeader(header);
  if (!parsed || at + FRAME_HEADER_BYTES + parsed.length > size) return undefined;
  // Memory of its own: the views that decodeFrame gives are aligned to it.
  const payload = Buffer.from(new ArrayBuffer(parsed.length));
  await readExactly(handle, payload, at + FRAME_HEADER_BYTES, path);
  return isWhole(payload, parsed.crc) ? payload : undefined;
}

/**
 * A frame that is not whole may be cut off only when it is the last: one that follows was written after it was durable.
 *
 * @throws DataLossError when a frame's header is found behind the one at `at`.
 */
async function requireNoFrameAfter(
  handle: FileHandle,
  path: string,
  at: number,
  size: number,
): Promise<void> {
  const part = Buffer.alloc(SCAN_BYTES + FRAME_HEADER_BYTES);
  for (let start = at + FRAME_ALIGNMENT; start + FRAME_HEADER_BYTES <= size; start += SCAN_BYTES) {
    const view = part.subarray(0, Math.min(part.length, size - start));
    await readExactly(handle, view, start, path);
    for (let i = 0; i + FRAME_HEADER_BYTES <= view.length; i += FRAME_ALIGNMENT)
      if (parseFrameHeader(view.subarray(i, i + FRAME_HEADER_BYTES)))
        throw new DataLossError(`is damaged between bytes ${at} and ${start + i}`, { place: path });
  }
}
