import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { DataLossError, replaceFileAtomically } from '@online-cnclip/foundation';
import { EmbeddingIndex, type FrozenItems } from './embedding-index.ts';
import { bytesOf, requireLittleEndian } from './files/byte-order.ts';
import { openForReading, readExactly } from './files/read-exactly.ts';
import {
  DIGEST_BYTES,
  formatHeader,
  headerLengthOf,
  PREFIX_BYTES,
  parseHeader,
  type SnapshotHeader,
  snapshotBytes,
} from './files/snapshot-format.ts';

/** Bytes written or read at a time. */
const PART_BYTES = 1024 * 1024;

/**
 * Saves an index; changes to it wait meanwhile, searches do not. The path holds the old snapshot or the whole new one.
 *
 * @returns the index's revision that is in the file.
 */
export function saveSnapshot(index: EmbeddingIndex, path: string): Promise<number> {
  requireLittleEndian();
  return index.freeze(async (frozen) => {
    await replaceFileAtomically(path, async (temporaryPath) => {
      const file = await open(temporaryPath, 'wx');
      const hash = createHash('sha256');
      const write = async (bytes: Uint8Array): Promise<void> => {
        hash.update(bytes);
        await file.writeFile(bytes);
      };
      try {
        await write(formatHeader(headerOf(index, frozen)));
        for (const ids of idParts(frozen)) await write(bytesOf(ids));
        for (const vectors of vectorParts(frozen, index.dimension)) await write(bytesOf(vectors));
        await file.writeFile(hash.digest());
      } finally {
        await file.close();
      }
    });
    return frozen.revision;
  });
}

const headerOf = ({ dimension, createTime }: EmbeddingIndex, frozen: FrozenItems): SnapshotHeader => ({
  dimension,
  items: frozen.size,
  fingerprint: frozen.fingerprint ?? null,
  createTime: createTime.toISOString(),
});

/** Parts share one buffer: each is written before the next is asked for. */
function* idParts({ entries }: FrozenItems): Generator<BigInt64Array> {
  const part = new BigInt64Array(PART_BYTES / 8);
  let count = 0;
  for (const { id } of entries()) {
    part[count++] = id;
    if (count < part.length) continue;
    yield part;
    count = 0;
  }
  yield part.subarray(0, count);
}

function* vectorParts({ entries }: FrozenItems, dimension: number): Generator<Float32Array> {
  const part = new Float32Array(rowsPerPart(dimension) * dimension);
  let count = 0;
  for (const { vector } of entries()) {
    part.set(vector, count);
    count += dimension;
    if (count < part.length) continue;
    yield part;
    count = 0;
  }
  yield part.subarray(0, count);
}

const rowsPerPart = (dimension: number): number => Math.max(1, Math.floor(PART_BYTES / (dimension * 4)));

/**
 * Loads an index. No memory is taken for items before the file's length has proved its header true.
 *
 * @throws NotFoundError; DataLossError when it is damaged or cut short; UnsupportedError for a later version.
 */
export async function loadSnapshot(
  path: string,
  options: { readonly maxItems?: number } = {},
): Promise<EmbeddingIndex> {
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
    const index = new EmbeddingIndex({
      dimension: header.dimension,
      fingerprint: header.fingerprint ?? undefined,
      createTime: new Date(header.createTime),
      ...options,
    });
    const hash = createHash('sha256').update(prefix).update(json);
    await readItems({ file, path, index, header, hash, start: PREFIX_BYTES + json.length });
    return index;
  } finally {
    await file.close();
  }
}

interface ItemSource {
  readonly file: FileHandle;
  readonly path: string;
  readonly index: EmbeddingIndex;
  readonly header: SnapshotHeader;
  readonly hash: ReturnType<typeof createHash>;
  /** Where the ids begin. */
  readonly start: number;
}

async function readItems({ file, path, index, header, hash, start }: ItemSource): Promise<void> {
  const { dimension, items } = header;
  const ids = new BigInt64Array(items);
  await readExactly(file, bytesOf(ids), start, path);
  hash.update(bytesOf(ids));
  let position = start + ids.byteLength;
  const rows = rowsPerPart(dimension);
  for (let first = 0; first < items; first += rows) {
    const count = Math.min(rows, items - first);
    const part = new Float32Array(count * dimension);
    await readExactly(file, bytesOf(part), position, path);
    hash.update(bytesOf(part));
    position += part.byteLength;
    const vectors = Array.from({ length: count }, (_, i) =>
      part.subarray(i * dimension, (i + 1) * dimension),
    );
    await addItems(index, ids.subarray(first, first + count), vectors, path);
  }
  const digest = Buffer.alloc(DIGEST_BYTES);
  await readExactly(file, digest, position, path);
  if (!hash.digest().equals(digest)) throw new DataLossError('its checksum is wrong', { place: path });
  if (index.size !== items) throw new DataLossError('holds an id twice', { place: path });
}

async function addItems(
  index: EmbeddingIndex,
  ids: BigInt64Array,
  vectors: readonly Float32Array[],
  path: string,
): Promise<void> {
  try {
    await index.upsert(ids, vectors);
  } catch (cause) {
    // A vector without length one was never written: the file is damaged before its checksum says so.
    throw new DataLossError('holds an item that cannot be', { place: path, cause });
  }
}
