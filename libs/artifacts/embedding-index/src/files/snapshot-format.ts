import { DataLossError, UnsupportedError } from '@online-cnclip/foundation';
import { z } from 'zod';
import { MAX_DIMENSION } from '../limits.ts';

// A snapshot, little-endian:
//   8 bytes  magic "OCNINDEX"
//   4 bytes  version (uint32)
//   4 bytes  length of the header (uint32)
//   header   JSON: dimension, items, fingerprint, createTime
//   ids      int64 [items]
//   vectors  float32 [items, dimension], of unit length
//   32 bytes SHA-256 of all before

const MAGIC = 'OCNINDEX';
const VERSION = 1;

export const PREFIX_BYTES = 16;
export const DIGEST_BYTES = 32;

/** The header has four short fields; more is damage. */
const MAX_HEADER_BYTES = 4_096;

const headerSchema = z.strictObject({
  dimension: z.int().min(1).max(MAX_DIMENSION),
  items: z.int().min(0),
  fingerprint: z.string().nullable(),
  createTime: z.iso.datetime(),
});

export type SnapshotHeader = Readonly<z.output<typeof headerSchema>>;

export function formatHeader(header: SnapshotHeader): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.write(MAGIC, 'latin1');
  prefix.writeUInt32LE(VERSION, 8);
  prefix.writeUInt32LE(json.length, 12);
  return Buffer.concat([prefix, json]);
}

/** Length of the JSON header. @throws DataLossError or UnsupportedError when this is no snapshot of this version. */
export function headerLengthOf(prefix: Buffer, place: string): number {
  if (prefix.toString('latin1', 0, MAGIC.length) !== MAGIC)
    throw new DataLossError('is not a snapshot of an index', { place });
  const version = prefix.readUInt32LE(8);
  if (version !== VERSION)
    throw new UnsupportedError(`snapshot version ${version} is not ${VERSION}`, { place });
  const length = prefix.readUInt32LE(12);
  if (length > MAX_HEADER_BYTES) throw new DataLossError(`its header claims ${length} bytes`, { place });
  return length;
}

/** @throws DataLossError when it is not what {@link formatHeader} wrote. */
export function parseHeader(json: Buffer, place: string): SnapshotHeader {
  try {
    return headerSchema.parse(JSON.parse(json.toString('utf8')));
  } catch (cause) {
    throw new DataLossError('its header is damaged', { place, cause });
  }
}

export const snapshotBytes = (headerLength: number, { items, dimension }: SnapshotHeader): number =>
  PREFIX_BYTES + headerLength + items * (8 + dimension * 4) + DIGEST_BYTES;
