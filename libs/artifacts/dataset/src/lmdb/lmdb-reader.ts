import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { DataLossError, FailedPreconditionError, NotFoundError } from '@online-cnclip/foundation';
import { MAX_CACHED_PAGES, MAX_VALUE_BYTES } from '../limits.ts';
import { type LmdbMeta, readMeta } from './meta-page.ts';
import { OVERFLOW_HEADER_BYTES, TreePage, type ValueLocation } from './tree-page.ts';

export const DATA_FILE = 'data.mdb';

/** An entry of an LMDB; its value is read when asked for. */
export interface LmdbEntry {
  readonly key: Buffer;
  value(): Buffer;
}

/**
 * Reads an LMDB environment (a folder with a data.mdb, data format v1, one value a key) that nobody is writing to.
 *
 * A reader of its own, not liblmdb's: a data set is never changed, only replaced, so it needs no map, no lock file in
 * a folder that may be read-only, and no care for several worker threads opening it (liblmdb's format v1 must not
 * open a file twice in a process); and a truncated or damaged file is an error here, where a memory map would end the
 * process. Calls are synchronous: one or two reads, mostly from the page cache.
 */
export class LmdbReader {
  readonly path: string;
  readonly #meta: LmdbMeta;
  readonly #fileBytes: number;
  readonly #pages = new Map<number, TreePage>();
  #descriptor: number | undefined;

  /**
   * @param folder holds data.mdb.
   * @throws NotFoundError, DataLossError when it is not an LMDB file, UnsupportedError for another data format.
   */
  constructor(folder: string) {
    this.path = join(folder, DATA_FILE);
    this.#descriptor = openForReading(this.path);
    this.#fileBytes = fstatSync(this.#descriptor).size;
    try {
      this.#meta = readMeta((offset, bytes) => this.#read(offset, bytes), this.path);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get entries(): number {
    return this.#meta.entries;
  }

  /** A copy of the key's value; undefined where there is no such key. */
  get(key: Buffer): Buffer | undefined {
    const location = this.#find(key);
    return location === undefined ? undefined : this.#value(location);
  }

  /** Reads no value. */
  has(key: Buffer): boolean {
    return this.#find(key) !== undefined;
  }

  /** Every entry, ascending by the bytes of its key. */
  *[Symbol.iterator](): Generator<LmdbEntry, void, undefined> {
    if (this.#meta.root === undefined) return;
    let previous: Buffer | undefined;
    for (const entry of this.#under(this.#meta.root, this.#meta.depth)) {
      // Also what keeps a damaged file, whose pages refer to each other in a circle, from being read for ever.
      if (previous !== undefined && Buffer.compare(previous, entry.key) >= 0)
        throw new DataLossError('damaged: its keys are out of order', { place: this.path });
      previous = entry.key;
      yield entry;
    }
  }

  /** Closing again does nothing. */
  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    this.#pages.clear();
  }

  #find(key: Buffer): ValueLocation | undefined {
    const { root, depth } = this.#meta;
    let page = root;
    if (page === undefined) return undefined;
    for (let level = 1; level < depth; level += 1) {
      const branch = this.#page(page, 'branch');
      page = branch.child(branch.lastNotAfter(key, 1));
    }
    const leaf = this.#page(page, 'leaf');
    const index = leaf.lastNotAfter(key, 0);
    return index < 0 || leaf.compareKey(index, key) !== 0 ? undefined : leaf.value(index);
  }

  *#under(number: number, levels: number): Generator<LmdbEntry, void, undefined> {
    if (levels > 1) {
      const branch = this.#page(number, 'branch');
      for (let i = 0; i < branch.nodes; i += 1) yield* this.#under(branch.child(i), levels - 1);
      return;
    }
    const leaf = this.#page(number, 'leaf');
    for (let i = 0; i < leaf.nodes; i += 1)
      yield { key: Buffer.from(leaf.key(i)), value: () => this.#value(leaf.value(i)) };
  }

  #page(number: number, kind: 'branch' | 'leaf'): TreePage {
    const cached = this.#pages.get(number);
    if (cached?.kind === kind) return cached;
    const { pageSize } = this.#meta;
    const bytes = this.#read(number * pageSize, pageSize);
    if (bytes.length < pageSize) throw this.#truncated(number);
    const page = new TreePage(bytes, number, kind, this.path);
    // The page read first goes first: branch pages come back within a lookup, so order hardly matters.
    if (this.#pages.size >= MAX_CACHED_PAGES) this.#pages.delete(this.#pages.keys().next().value as number);
    this.#pages.set(number, page);
    return page;
  }

  #value(location: ValueLocation): Buffer {
    if (location.kind === 'inline') return Buffer.from(location.bytes);
    const { page, length } = location;
    if (length > MAX_VALUE_BYTES)
      throw new DataLossError(`a value of ${length} bytes`, { place: `${this.path} page ${page}` });
    const value = this.#read(page * this.#meta.pageSize + OVERFLOW_HEADER_BYTES, length);
    if (value.length < length) throw this.#truncated(page);
    return value;
  }

  /** Fewer bytes at the file's end: a length that lies takes no memory. */
  #read(offset: number, bytes: number): Buffer {
    if (this.#descriptor === undefined) throw new FailedPreconditionError(`${this.path} is closed`);
    const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(bytes, this.#fileBytes - offset)));
    let filled = 0;
    while (filled < buffer.length) {
      const read = readSync(this.#descriptor, buffer, filled, buffer.length - filled, offset + filled);
      if (read === 0) break;
      filled += read;
    }
    return buffer.subarray(0, filled);
  }

  #truncated(page: number): DataLossError {
    return new DataLossError('truncated', { place: `${this.path} page ${page}` });
  }
}

function openForReading(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    throw new NotFoundError('no LMDB there', { place: path, cause });
  }
}
