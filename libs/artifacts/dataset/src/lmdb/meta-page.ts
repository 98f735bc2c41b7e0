import { DataLossError, UnsupportedError } from '@online-cnclip/foundation';
import { MAX_TREE_DEPTH } from '../limits.ts';

// The head of an LMDB file, data format v1 as 64-bit little-endian machines write it (struct MDB_meta and MDB_db of
// liblmdb/mdb.c, 0.9): two meta pages, the newer of which holds. Offsets are from the start of a meta page.
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 1;
const MAGIC_AT = 16;
const VERSION_AT = 20;
const PAGE_SIZE_AT = 40;
const MAIN_DB_AT = 88;
const TRANSACTION_AT = 144;
const META_BYTES = 152;
/** LMDB 1.0's longer page header puts the same two fields here. */
const NEXT_FORMAT_MAGIC_AT = 24;
const NEXT_FORMAT_VERSION_AT = 28;

const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const SMALLEST_PAGE = 512;
const LARGEST_PAGE = 65_536;

/** Where the tree of an LMDB file is. */
export interface LmdbMeta {
  readonly pageSize: number;
  /** Levels of the tree; 0 for an empty one. */
  readonly depth: number;
  readonly entries: number;
  /** Number of the root page; undefined for an empty tree. */
  readonly root: number | undefined;
}

/**
 * @param read bytes of the file from an offset, fewer at its end.
 * @throws DataLossError when it is not an LMDB file, UnsupportedError for another data format or several values a key.
 */
export function readMeta(read: (offset: number, bytes: number) => Buffer, place: string): LmdbMeta {
  const first = read(0, META_BYTES);
  checkHead(first, place);
  const pageSize = first.readUInt32LE(PAGE_SIZE_AT);
  if (pageSize < SMALLEST_PAGE || pageSize > LARGEST_PAGE || (pageSize & (pageSize - 1)) !== 0)
    throw new DataLossError(`its pages have ${pageSize} bytes`, { place });
  const second = read(pageSize, META_BYTES);
  checkHead(second, place);
  const newer =
    second.readBigUInt64LE(TRANSACTION_AT) > first.readBigUInt64LE(TRANSACTION_AT) ? second : first;
  return { pageSize, ...readMainDb(newer.subarray(MAIN_DB_AT), place) };
}

function checkHead(meta: Buffer, place: string): void {
  if (meta.length < META_BYTES) throw new DataLossError('too short for an LMDB file', { place });
  if (meta.readUInt32LE(MAGIC_AT) === MAGIC) checkVersion(meta.readUInt32LE(VERSION_AT), place);
  else if (meta.readUInt32LE(NEXT_FORMAT_MAGIC_AT) === MAGIC)
    checkVersion(meta.readUInt32LE(NEXT_FORMAT_VERSION_AT), place);
  else throw new DataLossError('not an LMDB file', { place });
}

function checkVersion(version: number, place: string): void {
  if (version !== DATA_VERSION)
    throw new UnsupportedError(`LMDB data format ${version}; Python's lmdb and this read ${DATA_VERSION}`, {
      place,
    });
}

function readMainDb(db: Buffer, place: string): Omit<LmdbMeta, 'pageSize'> {
  const flags = db.readUInt16LE(4);
  if (flags !== 0) throw new UnsupportedError(`an LMDB of another kind (flags ${flags})`, { place });
  const depth = db.readUInt16LE(6);
  const root = db.readBigUInt64LE(40);
  if (depth > MAX_TREE_DEPTH) throw new DataLossError(`its tree has ${depth} levels`, { place });
  if ((root === NO_PAGE) !== (depth === 0)) throw new DataLossError('its tree has no root', { place });
  return {
    depth,
    entries: Number(db.readBigUInt64LE(32)),
    root: root === NO_PAGE ? undefined : Number(root),
  };
}
