import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DataLossError, UnsupportedError } from '@online-cnclip/foundation';

// liblmdb believes every number in its file, and reads a map of it: a damaged or truncated file ends the process (SIGBUS,
// SIGSEGV) instead of failing. So before it sees a file, every page that it could come to is looked at here: of all trees
// the branches and leaves, and where the large values lie. Offsets are those of liblmdb 0.9 (mdb.c: struct MDB_page,
// MDB_node, MDB_db, MDB_meta) on 64-bit little-endian machines, data format v1.

const META_BYTES = 152;
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 1;
const META = {
  magic: 16,
  version: 20,
  pageSize: 40,
  freeDb: 40,
  mainDb: 88,
  lastPage: 136,
  transaction: 144,
} as const;
const DB = { bytes: 48, flags: 4, depth: 6, root: 40 } as const;
const PAGE = { header: 16, flags: 10, lower: 12, upper: 14, overflowPages: 12 } as const;
const NODE_HEADER_BYTES = 8;

const KIND_BITS = 0x0f;
const BRANCH = 1;
const LEAF = 2;
const OVERFLOW = 4;
const BIG_DATA = 1;
const SUB_DATA = 2;

const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const PAGE_SIZES = [512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536];

/** liblmdb's own limit of a cursor's stack. */
const MAX_DEPTH = 32;

/** A file that another process writes may change under the look; then it is looked at again. */
const ATTEMPTS = 20;

/**
 * Looks through an LMDB file, which another process may be writing to.
 *
 * @throws DataLossError when it is damaged or cut short, UnsupportedError for another data format.
 */
export function checkPages(file: string): void {
  const descriptor = openSync(file, 'r');
  try {
    // What a process leaves that was killed before its first write.
    if (fstatSync(descriptor).size === 0) return;
    for (let attempt = 1; ; attempt += 1) {
      const pages = new Pages(descriptor, file);
      try {
        pages.check();
        return;
      } catch (error) {
        // The pages of a state are only written over after a later one was committed.
        const isNew = new Pages(descriptor, file).transaction !== pages.transaction;
        if (!isNew || attempt === ATTEMPTS) throw error;
      }
    }
  } finally {
    closeSync(descriptor);
  }
}

/** One state of the file. */
class Pages {
  readonly transaction: bigint;
  readonly #descriptor: number;
  readonly #file: string;
  readonly #pageSize: number;
  readonly #pages: number;
  readonly #meta: Buffer;
  readonly #seen = new Set<number>();

  constructor(descriptor: number, file: string) {
    this.#descriptor = descriptor;
    this.#file = file;
    const first = this.#readMeta(0);
    this.#pageSize = first.readUInt32LE(META.pageSize);
    if (!PAGE_SIZES.includes(this.#pageSize)) throw this.#damaged(`its pages have ${this.#pageSize} bytes`);
    const second = this.#readMeta(this.#pageSize);
    this.#meta =
      second.readBigUInt64LE(META.transaction) > first.readBigUInt64LE(META.transaction) ? second : first;
    this.transaction = this.#meta.readBigUInt64LE(META.transaction);
    // Pages at the end that hold nothing any more need not be in the file.
    const inFile = Math.floor(fstatSync(descriptor).size / this.#pageSize);
    const claimed = this.#meta.readBigUInt64LE(META.lastPage) + 1n;
    this.#pages = claimed < BigInt(inFile) ? Number(claimed) : inFile;
  }

  check(): void {
    this.#checkDatabase(this.#meta.subarray(META.freeDb, META.freeDb + DB.bytes));
    this.#checkDatabase(this.#meta.subarray(META.mainDb, META.mainDb + DB.bytes));
  }

  #checkDatabase(db: Buffer): void {
    const depth = db.readUInt16LE(DB.depth);
    const root = db.readBigUInt64LE(DB.root);
    if (depth > MAX_DEPTH || (root === NO_PAGE) !== (depth === 0))
      throw this.#damaged('a tree without a root');
    if (depth > 0) this.#checkTree(root, depth);
  }

  #checkTree(number: bigint, depth: number): void {
    const page = this.#readTreePage(number);
    const kind = page.readUInt16LE(PAGE.flags) & KIND_BITS;
    if (kind !== (depth > 1 ? BRANCH : LEAF)) throw this.#damaged(`page ${number} is of kind ${kind}`);
    for (const node of this.#nodes(page, number)) {
      if (kind === BRANCH) this.#checkTree(childOf(node), depth - 1);
      else this.#checkLeaf(node, number);
    }
  }

  /** Each within the page, from its header on. */
  *#nodes(page: Buffer, number: bigint): Generator<Buffer, void, undefined> {
    const lower = page.readUInt16LE(PAGE.lower);
    const upper = page.readUInt16LE(PAGE.upper);
    if (lower < PAGE.header || lower > upper || upper > this.#pageSize || lower % 2 !== 0)
      throw this.#damaged(`page ${number} has no right bounds`);
    for (let at = PAGE.header; at < lower; at += 2) {
      const offset = page.readUInt16LE(at);
      const node = page.subarray(offset);
      if (
        offset < upper ||
        node.length < NODE_HEADER_BYTES ||
        node.length < NODE_HEADER_BYTES + keyBytes(node)
      )
        throw this.#damaged(`page ${number} has an entry beyond its end`);
      yield node;
    }
    // A branch always has a child to go down to.
    if (lower === PAGE.header && (page.readUInt16LE(PAGE.flags) & BRANCH) !== 0)
      throw this.#damaged(`page ${number} has no entry`);
  }

  #checkLeaf(node: Buffer, number: bigint): void {
    const flags = node.readUInt16LE(4);
    const bytes = node.readUInt32LE(0);
    const data = node.subarray(NODE_HEADER_BYTES + keyBytes(node));
    if (flags === BIG_DATA && data.length >= 8) {
      this.#checkOverflow(data.readBigUInt64LE(0), bytes);
      return;
    }
    if (bytes > data.length) throw this.#damaged(`page ${number} has a value beyond its end`);
    if (flags === SUB_DATA && bytes === DB.bytes) {
      this.#checkDatabase(data.subarray(0, DB.bytes));
      return;
    }
    if (flags !== 0) throw this.#damaged(`page ${number} has an entry of kind ${flags}`);
  }

  #checkOverflow(number: bigint, bytes: number): void {
    this.#requirePage(number);
    const head = this.#read(Number(number) * this.#pageSize, PAGE.header);
    const kind = head.readUInt16LE(PAGE.flags) & KIND_BITS;
    const count = head.readUInt32LE(PAGE.overflowPages);
    if (kind !== OVERFLOW || count * this.#pageSize < bytes + PAGE.header)
      throw this.#damaged(`page ${number} does not hold the value that should be there`);
    if (count > 0) this.#requirePage(number + BigInt(count) - 1n);
  }

  #readTreePage(number: bigint): Buffer {
    this.#requirePage(number);
    const page = Number(number);
    // A circle would have no end.
    if (this.#seen.has(page)) throw this.#damaged(`page ${page} is in two places`);
    this.#seen.add(page);
    const bytes = this.#read(page * this.#pageSize, this.#pageSize);
    if (bytes.readBigUInt64LE(0) !== number) throw this.#damaged(`page ${page} is another one`);
    return bytes;
  }

  #requirePage(number: bigint): void {
    // The first two are the heads.
    if (number < 2n || number >= BigInt(this.#pages)) throw this.#damaged(`page ${number} of ${this.#pages}`);
  }

  #readMeta(offset: number): Buffer {
    const meta = this.#read(offset, META_BYTES);
    if (meta.readUInt32LE(META.magic) !== MAGIC)
      throw new DataLossError('not an LMDB file', { place: this.#file });
    const version = meta.readUInt32LE(META.version) & 0xffff;
    if (version !== DATA_VERSION)
      throw new UnsupportedError(`LMDB data format ${version}, not ${DATA_VERSION}`, { place: this.#file });
    return meta;
  }

  #read(offset: number, bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    if (readSync(this.#descriptor, buffer, 0, bytes, offset) < bytes) throw this.#damaged('cut short');
    return buffer;
  }

  #damaged(what: string): DataLossError {
    return new DataLossError(`damaged: ${what}`, { place: this.#file });
  }
}

const keyBytes = (node: Buffer): number => node.readUInt16LE(6);

/** A branch's entry has the page's number where a leaf's has length and flags. */
const childOf = (node: Buffer): bigint =>
  BigInt(node.readUInt32LE(0)) | (BigInt(node.readUInt16LE(4)) << 32n);
