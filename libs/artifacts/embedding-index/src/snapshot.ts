import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { DataLossError } from '@online-cnclip/foundation';
import { bytesOf, requireLittleEndian } from './files/byte-order.ts';
import { openForReading, readExactly } from './files/read-exactly.ts';
import {
  DIGEST_BYTES,
  headerLengthOf,
  PREFIX_BYTES,
  parseHeader,
  type SnapshotHeader,
  snapshotBytes,
} from './files/snapshot-format.ts';

/** Bytes read at a time. */
const PART_BYTES = 1024 * 1024;

const rowsPerPart = (dimension: number): number => Math.max(1, Math.floor(PART_BYTES / (dimension * 4)));

/** A snapshot that is open for reading. */
export interface Snapshot {
  readonly header: SnapshotHeader;
  /** The items, in order; vectors are of length 1. @throws DataLossError when it turns out to be damaged. */
  parts(): AsyncGenerator<SnapshotPart, void, void>;
  close(): Promise<void>;
}

export interface SnapshotPart {
  readonly ids: BigInt64Array;
  /** float32 `[ids, dimension]`. */
  readonly vectors: Float32Array;
}

/**
 * Opens a snapshot, which earlier versions wrote. No memory is taken for items before the file's length has proved its
 * header true.
 *
 * @throws NotFoundError; DataLossError when it is damaged or cut short; UnsupportedError for a later version.
 */
export async function readSnapshot(path: string): Promise<Snapshot> {
  requireLittleEndian();
  const file = await openForReading(path);
  try {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    await readExactly(file, prefix, 0, path);
    const json = Buffer.alloc(headerLengthOf(prefix, path));
    await readExactly(file, json, PREFIX_BYTES, path);
    const header = parseHeader(json, path);
    const { size } = await file.stat();
    const claimed = snapshotBytes(json.length, header);
    if (size !== claimed)
      throw new DataLossError(`has ${size} bytes where its header claims ${claimed}`, { place: path });
    const hash = createHash('sha256').update(prefix).update(json);
    return {
      header,
      parts: () => readParts({ file, path, header, hash, start: PREFIX_BYTES + json.length }),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

interface PartSource {
  readonly file: FileHandle;
  readonly path: string;
  readonly header: SnapshotHeader;
  readonly hash: Hash;
  /** Where the ids begin. */
  readonly start: number;
}

async function* readParts({ file, path, header, hash, start }: PartSource): AsyncGenerator<SnapshotPart> {
  const { dimension, items } = header;
  const ids = new BigInt64Array(items);
  await readExactly(file, bytesOf(ids), start, path);
  hash.update(bytesOf(ids));
  let position = start + ids.byteLength;
  const rows = rowsPerPart(dimension);
  for (let first = 0; first < items; first += rows) {
    const count = Math.min(rows, items - first);
    const vectors = new Float32Array(count * dimension);
    await readExactly(file, bytesOf(vectors), position, path);
    hash.update(bytesOf(vectors));
    position += vectors.byteLength;
    yield { ids: ids.subarray(first, first + count), vectors };
  }
  const digest = Buffer.alloc(DIGEST_BYTES);
  await readExactly(file, digest, position, path);
  if (!hash.digest().equals(digest)) throw new DataLossError('its checksum is wrong', { place: path });
}
