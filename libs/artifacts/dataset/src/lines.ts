import { type FileHandle, open } from 'node:fs/promises';
import { InvalidInputError, NotFoundError, throwIfAborted } from '@online-cnclip/foundation';
import { MAX_LINE_BYTES, READ_BYTES } from './limits.ts';

/** Lines read together, valid until the next are asked for: their memory is used again. */
export interface LineBatch {
  /** Without line ends and the white space around them, as Python's `strip()` leaves them. */
  readonly lines: readonly Buffer[];
  /** Number of the first line, from 1. */
  readonly firstLine: number;
  /** Of the file, this batch included. */
  readonly bytesRead: number;
}

export interface ReadLinesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Tests lower it. */
  readonly readBytes?: number | undefined;
  /** Tests lower it. */
  readonly maxLineBytes?: number | undefined;
}

const NEWLINE = 0x0a;

/**
 * The lines of a file in batches of about {@link READ_BYTES}; memory is bounded by the longest line. A last line
 * without a line end counts; `\r\n` ends a line too.
 *
 * @throws NotFoundError, InvalidInputError naming a line that is too long, the signal's error.
 */
export async function* readLineBatches(
  path: string,
  options: ReadLinesOptions = {},
): AsyncGenerator<LineBatch, void, undefined> {
  const file = await openText(path);
  try {
    yield* batchesOf(file, path, options);
  } finally {
    await file.close();
  }
}

/** Reads into one buffer while the lines in the other are worked on. */
async function* batchesOf(
  file: FileHandle,
  path: string,
  { signal, readBytes = READ_BYTES, maxLineBytes = MAX_LINE_BYTES }: ReadLinesOptions,
): AsyncGenerator<LineBatch, void, undefined> {
  let spare: Buffer = Buffer.allocUnsafeSlow(readBytes);
  let reading = readAfter(file, Buffer.allocUnsafeSlow(readBytes), 0);
  try {
    for (let firstLine = 1, bytesRead = 0, atEnd = false; !atEnd; ) {
      throwIfAborted(signal);
      const { buffer, kept, read } = await reading;
      atEnd = read === 0;
      bytesRead += read;
      const filled = buffer.subarray(0, kept + read);
      const { lines, rest } = splitLines(filled, atEnd);
      const unfinished = filled.subarray(rest);
      const place = `${path}:${firstLine + lines.length}`;
      const next = withRoomAfter(unfinished.length, spare, maxLineBytes, place);
      unfinished.copy(next);
      if (!atEnd) reading = readAfter(file, next, unfinished.length);
      spare = buffer;
      if (lines.length > 0) yield { lines, firstLine, bytesRead };
      firstLine += lines.length;
    }
  } finally {
    await reading.catch(() => undefined); // It still writes to its buffer when the caller stops early.
  }
}

interface Reading {
  readonly buffer: Buffer;
  /** Bytes at its start that were there already. */
  readonly kept: number;
  readonly read: number;
}

async function readAfter(file: FileHandle, buffer: Buffer, kept: number): Promise<Reading> {
  return { buffer, kept, read: (await file.read(buffer, kept, buffer.length - kept)).bytesRead };
}

function splitLines(bytes: Buffer, atEnd: boolean): { lines: Buffer[]; rest: number } {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    lines.push(trimmed(bytes, start, end));
    start = end + 1;
  }
  if (atEnd && start < bytes.length) {
    lines.push(trimmed(bytes, start, bytes.length));
    start = bytes.length;
  }
  return { lines, rest: start };
}

function trimmed(bytes: Buffer, from: number, to: number): Buffer {
  let start = from;
  let end = to;
  while (end > start && isSpace(bytes[end - 1])) end -= 1;
  while (start < end && isSpace(bytes[start])) start += 1;
  return bytes.subarray(start, end);
}

/** Space, and tab to carriage return. */
function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

/** The buffer, or a larger one when it has no room after what is kept. */
function withRoomAfter(kept: number, buffer: Buffer, maxLineBytes: number, place: string): Buffer {
  if (kept < buffer.length) return buffer;
  if (kept >= maxLineBytes)
    throw new InvalidInputError(`the line is longer than ${maxLineBytes} bytes`, { place });
  return Buffer.allocUnsafeSlow(Math.min(2 * kept, maxLineBytes));
}

async function openText(path: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    throw new NotFoundError('no such file', { place: path, cause });
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new InvalidInputError('not a file', { place: path });
}
