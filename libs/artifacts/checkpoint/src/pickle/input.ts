import { DataLossError } from '@online-cnclip/foundation';
import type { RandomAccessFile } from '../random-access-file.ts';

// Window over the file: legacy files hold their pickles at the front of gigabytes of tensor data.
const WINDOW_BYTES = 256 * 1024;

/** Bytes pulled front to back; a length beyond the end is refused before anything is allocated for it. */
export class PickleInput {
  readonly place: string;
  readonly size: number;
  readonly #read: (position: number, length: number) => Buffer;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;
  position = 0;

  private constructor(place: string, size: number, read: (position: number, length: number) => Buffer) {
    this.place = place;
    this.size = size;
    this.#read = read;
  }

  static ofBytes(bytes: Buffer, place: string): PickleInput {
    return new PickleInput(place, bytes.length, (position, length) =>
      bytes.subarray(position, position + length),
    );
  }

  static ofFile(file: RandomAccessFile): PickleInput {
    return new PickleInput(file.path, file.size, (position, length) => file.readSync(position, length));
  }

  /** The next bytes: a view that stays valid. */
  take(length: number): Buffer {
    const start = this.position;
    if (length > this.size - start)
      throw new DataLossError(`the pickle is truncated: ${length} bytes wanted at ${start} of ${this.size}`, {
        place: this.place,
      });
    let from = start - this.#windowStart;
    if (from < 0 || from + length > this.#window.length) {
      this.#window = this.#read(start, Math.min(this.size - start, Math.max(length, WINDOW_BYTES)));
      this.#windowStart = start;
      from = 0;
    }
    this.position = start + length;
    return this.#window.subarray(from, from + length);
  }

  takeByte(): number {
    return this.take(1)[0] as number;
  }

  /** Up to the next line feed, which is skipped. Names of globals are short: no more than 255 bytes. */
  takeLine(): string {
    const bytes: number[] = [];
    for (let byte = this.takeByte(); byte !== 0x0a; byte = this.takeByte()) {
      if (bytes.length === 255)
        throw new DataLossError('the pickle has a global of more than 255 bytes', { place: this.place });
      bytes.push(byte);
    }
    return Buffer.from(bytes).toString('utf8');
  }
}
