import { DataLossError } from '@online-cnclip/foundation';

// A page of an LMDB's tree (struct MDB_page and MDB_node of liblmdb/mdb.c, 0.9): a header of 16 bytes, one 16-bit
// offset per node, the nodes from the page's end. A node is 8 bytes, its key, its data.
const HEADER_BYTES = 16;
const NODE_HEADER_BYTES = 8;
const FLAGS_AT = 10;
const LOWER_AT = 12;
const BRANCH = 0x01;
const LEAF = 0x02;
/** A branch or leaf has no other flag here, but one still marked dirty was written so by older versions. */
const DIRTY = 0x10;
/** The node's data is the number of the first overflow page, which holds the value. */
const BIG_DATA = 0x01;

/** A value lies in the page itself or in overflow pages. */
export type ValueLocation =
  | { readonly kind: 'inline'; readonly bytes: Buffer }
  | { readonly kind: 'overflow'; readonly page: number; readonly length: number };

/** Bytes before the value on its first overflow page. */
export const OVERFLOW_HEADER_BYTES = HEADER_BYTES;

/** One branch or leaf page; every offset is checked before it is followed. */
export class TreePage {
  readonly nodes: number;
  readonly kind: 'branch' | 'leaf';
  readonly #bytes: Buffer;
  readonly #place: string;

  /** @throws DataLossError when it is not the page of that number and kind. */
  constructor(bytes: Buffer, number: number, kind: 'branch' | 'leaf', place: string) {
    this.#bytes = bytes;
    this.kind = kind;
    this.#place = `${place} page ${number}`;
    const flags = bytes.readUInt16LE(FLAGS_AT) & ~DIRTY;
    if (Number(bytes.readBigUInt64LE(0)) !== number || flags !== (kind === 'branch' ? BRANCH : LEAF))
      throw this.#damaged(`not the ${kind} page that belongs there`);
    const lower = bytes.readUInt16LE(LOWER_AT);
    this.nodes = (lower - HEADER_BYTES) >> 1;
    if (this.nodes < 1 || lower > bytes.length) throw this.#damaged('no node');
  }

  /** Negative, 0 or positive as the node's key sorts before, at or after `key`: bytewise, then by length. */
  compareKey(index: number, key: Buffer): number {
    const bytes = this.#bytes;
    const start = this.#node(index) + NODE_HEADER_BYTES;
    const length = this.#keyBytes(index);
    const common = Math.min(length, key.length);
    // Keys have some ten bytes: a loop is ten times faster than Buffer.compare.
    for (let i = 0; i < common; i += 1) {
      const difference = (bytes[start + i] as number) - (key[i] as number);
      if (difference !== 0) return difference;
    }
    return length - key.length;
  }

  key(index: number): Buffer {
    const start = this.#node(index) + NODE_HEADER_BYTES;
    return this.#bytes.subarray(start, start + this.#keyBytes(index));
  }

  /** Of a branch page: the number of the page below. */
  child(index: number): number {
    const node = this.#node(index);
    return this.#bytes.readUInt32LE(node) + this.#bytes.readUInt16LE(node + 4) * 2 ** 32;
  }

  /** Of a leaf page. */
  value(index: number): ValueLocation {
    const node = this.#node(index);
    const length = this.#bytes.readUInt32LE(node);
    const flags = this.#bytes.readUInt16LE(node + 4);
    const start = node + NODE_HEADER_BYTES + this.#keyBytes(index);
    if (flags === BIG_DATA && start + 8 <= this.#bytes.length)
      return { kind: 'overflow', page: Number(this.#bytes.readBigUInt64LE(start)), length };
    if (flags !== 0 || start + length > this.#bytes.length)
      throw this.#damaged(`node ${index} holds no value`);
    return { kind: 'inline', bytes: this.#bytes.subarray(start, start + length) };
  }

  /** Index of the last node whose key is not after `key`; of a branch page the first node counts as before any. */
  lastNotAfter(key: Buffer, first: number): number {
    let low = first;
    let high = this.nodes - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.compareKey(middle, key) <= 0) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }

  #node(index: number): number {
    const offset = this.#uint16(HEADER_BYTES + 2 * index);
    if (offset < HEADER_BYTES || offset + NODE_HEADER_BYTES > this.#bytes.length)
      throw this.#damaged(`node ${index} lies outside of it`);
    return offset;
  }

  #keyBytes(index: number): number {
    const node = this.#node(index);
    const length = this.#uint16(node + 6);
    if (node + NODE_HEADER_BYTES + length > this.#bytes.length)
      throw this.#damaged(`node ${index}'s key lies outside of it`);
    return length;
  }

  /** As readUInt16LE, without its checks: callers have made sure that `at` lies in the page. */
  #uint16(at: number): number {
    return (this.#bytes[at] as number) | ((this.#bytes[at + 1] as number) << 8);
  }

  #damaged(what: string): DataLossError {
    return new DataLossError(`damaged: ${what}`, { place: this.#place });
  }
}
