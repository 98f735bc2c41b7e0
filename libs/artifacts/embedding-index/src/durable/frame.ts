import { crc32 } from 'node:zlib';
import { DataLossError } from '@online-cnclip/foundation';
import type { Attributes } from '../port.ts';
import { parseAttributes, stringifyAttributes } from './attribute-text.ts';

// An item file is a sequence of frames, little-endian; what is acknowledged together is one frame:
//   4 bytes  magic "OCNF"
//   4 bytes  length of the payload (uint32), a multiple of 8
//   4 bytes  CRC-32 of the payload
//   4 bytes  CRC-32 of the twelve bytes before
//   payload  operations, each:
//     4 bytes  kind (uint32): 0 description, 1 upsert, 2 delete
//     4 bytes  count of items n (uint32)
//     4 bytes  bytes of text t (uint32), without padding
//     4 bytes  zero
//     ids      int64 [n]
//     vectors  float32 [n, dimension], upsert only
//     text     UTF-8 JSON, zeros up to a multiple of 8: the description, or the attributes of the n items
// The first frame holds the description alone.

const MAGIC = 0x464e434f;
export const FRAME_HEADER_BYTES = 16;
const OPERATION_HEADER_BYTES = 16;

/** Of a payload: far above the largest batch that a request can bring, so that a damaged length is noticed. */
export const MAX_FRAME_BYTES = 256 * 1024 * 1024;

const KINDS = { describe: 0, upsert: 1, delete: 2 } as const;

export type Operation =
  | { readonly kind: 'describe'; readonly text: string }
  | {
      readonly kind: 'upsert';
      readonly ids: BigInt64Array;
      /** float32 `[ids, dimension]`. */
      readonly vectors: Float32Array;
      /** One per id; absent: none has any. */
      readonly attributes?: readonly Attributes[] | undefined;
    }
  | { readonly kind: 'delete'; readonly ids: BigInt64Array };

/** An operation ready to be written. */
export interface EncodedOperation {
  readonly header: Buffer;
  readonly ids: Uint8Array;
  readonly vectors: Uint8Array;
  readonly text: Buffer;
  readonly bytes: number;
  /** Where in it the vectors begin. */
  readonly vectorsAt: number;
}

const padded = (bytes: number): number => Math.ceil(bytes / 8) * 8;
const NO_BYTES = new Uint8Array(0);
const bytesOf = (array: BigInt64Array | Float32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

export function encodeOperation(operation: Operation): EncodedOperation {
  const ids = operation.kind === 'describe' ? NO_BYTES : bytesOf(operation.ids);
  const vectors = operation.kind === 'upsert' ? bytesOf(operation.vectors) : NO_BYTES;
  const text = Buffer.from(textOf(operation));
  const header = Buffer.alloc(OPERATION_HEADER_BYTES);
  header.writeUInt32LE(KINDS[operation.kind], 0);
  header.writeUInt32LE(ids.length / 8, 4);
  header.writeUInt32LE(text.length, 8);
  const bytes = padded(header.length + ids.length + vectors.length) + padded(text.length);
  return { header, ids, vectors, text, bytes, vectorsAt: header.length + ids.length };
}

function textOf(operation: Operation): string {
  if (operation.kind === 'describe') return operation.text;
  if (operation.kind === 'delete' || !operation.attributes) return '';
  return stringifyAttributes(operation.attributes);
}

/** One frame of operations whose bytes are at most {@link MAX_FRAME_BYTES} together. */
export function encodeFrame(operations: readonly EncodedOperation[]): Buffer {
  const length = operations.reduce((sum, { bytes }) => sum + bytes, 0);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + length);
  let at = FRAME_HEADER_BYTES;
  for (const { header, ids, vectors, text, bytes } of operations) {
    frame.set(header, at);
    frame.set(ids, at + header.length);
    frame.set(vectors, at + header.length + ids.length);
    frame.set(text, at + padded(header.length + ids.length + vectors.length));
    at += bytes;
  }
  frame.writeUInt32LE(MAGIC, 0);
  frame.writeUInt32LE(length, 4);
  frame.writeUInt32LE(crc32(frame.subarray(FRAME_HEADER_BYTES)), 8);
  frame.writeUInt32LE(crc32(frame.subarray(0, 12)), 12);
  return frame;
}

/** What a frame's header says; undefined when these are not a header's bytes. */
export function parseFrameHeader(
  header: Buffer,
): { readonly length: number; readonly crc: number } | undefined {
  if (header.length < FRAME_HEADER_BYTES || header.readUInt32LE(0) !== MAGIC) return undefined;
  if (header.readUInt32LE(12) !== crc32(header.subarray(0, 12))) return undefined;
  const length = header.readUInt32LE(4);
  return length > MAX_FRAME_BYTES ? undefined : { length, crc: header.readUInt32LE(8) };
}

export const isWhole = (payload: Buffer, crc: number): boolean => crc32(payload) === crc;

/** An operation, and where in the payload its vectors begin. */
export interface PlacedOperation {
  readonly operation: Operation;
  readonly vectorsAt: number;
}

/** @throws DataLossError when the payload is not what {@link encodeFrame} wrote, though its checksum is right. */
export function* decodeFrame(payload: Buffer, dimension: number, place: string): Generator<PlacedOperation> {
  const damaged = (cause?: unknown) =>
    new DataLossError('holds an operation that cannot be read', { place, cause });
  let at = 0;
  while (at < payload.length) {
    if (payload.length - at < OPERATION_HEADER_BYTES) throw damaged();
    const kind = payload.readUInt32LE(at);
    const count = payload.readUInt32LE(at + 4);
    const textBytes = payload.readUInt32LE(at + 8);
    const idsAt = at + OPERATION_HEADER_BYTES;
    const vectorsAt = idsAt + count * 8;
    const vectorBytes = kind === KINDS.upsert ? count * dimension * 4 : 0;
    const textAt = at + padded(vectorsAt - at + vectorBytes);
    const end = textAt + padded(textBytes);
    if (end > payload.length) throw damaged();
    const text = payload.toString('utf8', textAt, textAt + textBytes);
    const ids = new BigInt64Array(payload.buffer, payload.byteOffset + idsAt, count);
    const vectors = new Float32Array(payload.buffer, payload.byteOffset + vectorsAt, vectorBytes / 4);
    try {
      yield { operation: operationOf(kind, text, ids, vectors), vectorsAt };
    } catch (cause) {
      throw damaged(cause);
    }
    at = end;
  }
}

function operationOf(kind: number, text: string, ids: BigInt64Array, vectors: Float32Array): Operation {
  switch (kind) {
    case KINDS.describe:
      return { kind: 'describe', text };
    case KINDS.upsert:
      return {
        kind: 'upsert',
        ids,
        vectors,
        ...(text !== '' && { attributes: parseAttributes(text, ids.length) }),
      };
    case KINDS.delete:
      return { kind: 'delete', ids };
    default:
      throw new RangeError(`no operation has number ${kind}`);
  }
}
