import { DataLossError, InvalidInputError, messageOf } from '@online-cnclip/foundation';
import { z } from 'zod';
import { STORED_TYPES, type StoredType } from '../element-types.ts';
import type { RandomAccessFile } from '../random-access-file.ts';
import type { StoredTensor } from '../tensor-file.ts';

// Some 150,000 tensors; parsing may take twenty times the memory. (The reference implementation allows 100 MB.)
const MAX_HEADER_BYTES = 16 * 1024 * 1024;

/** Names of the format, and which of this package's types they are. */
export const TYPE_NAMES: Readonly<Record<string, StoredType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};

const count = z.int().nonnegative();
const tensorSchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(count),
  data_offsets: z.tuple([count, count]),
});
const metadataSchema = z.record(z.string(), z.string());

export interface LocatedTensor extends StoredTensor {
  /** In the file, in bytes. */
  readonly position: number;
  readonly length: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, LocatedTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads and checks a header: 8 bytes of little-endian length, JSON, then the data that the tensors' offsets fill
 * without overlap or hole. Format: https://github.com/huggingface/safetensors#format
 *
 * @throws DataLossError when the header is not what the file holds, InvalidInputError for an unknown type.
 */
export async function readHeader(file: RandomAccessFile): Promise<SafetensorsHeader> {
  const prefix = Buffer.alloc(8);
  await file.readInto(prefix, 0);
  const length = Number(prefix.readBigUInt64LE());
  if (length > MAX_HEADER_BYTES || length > file.size - 8)
    throw new DataLossError(`has a header of ${length} bytes in a file of ${file.size}`, {
      place: file.path,
    });
  const bytes = Buffer.allocUnsafe(length);
  await file.readInto(bytes, 8);
  const entries = parseObject(bytes, file.path);
  const metadata = metadataSchema.safeParse(entries['__metadata__'] ?? {});
  if (!metadata.success)
    throw new DataLossError('is not a mapping of strings', { place: `${file.path}: __metadata__` });
  const tensors = new Map<string, LocatedTensor>();
  for (const [name, entry] of Object.entries(entries))
    if (name !== '__metadata__') tensors.set(name, parseTensor(entry, 8 + length, `${file.path}: ${name}`));
  requireFilled(tensors, 8 + length, file);
  return { tensors, metadata: metadata.data };
}

function parseObject(bytes: Buffer, place: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch (cause) {
    throw new DataLossError(`has a header that is not JSON: ${messageOf(cause)}`, { place, cause });
  }
  throw new DataLossError('has a header that is not a JSON object', { place });
}

function parseTensor(entry: unknown, dataStart: number, place: string): LocatedTensor {
  const parsed = tensorSchema.safeParse(entry);
  if (!parsed.success)
    throw new DataLossError('is not described by dtype, shape and data_offsets', { place });
  const { dtype, shape, data_offsets } = parsed.data;
  const type = Object.hasOwn(TYPE_NAMES, dtype) ? TYPE_NAMES[dtype] : undefined;
  if (!type) throw new InvalidInputError(`has type ${dtype}, which is not supported`, { place });
  const [start, end] = data_offsets;
  const length = shape.reduce((product, size) => product * size, STORED_TYPES[type]);
  if (end - start !== length)
    throw new DataLossError(`${dtype} [${shape}] takes ${length} bytes, not ${end - start}`, { place });
  return { type, shape, position: dataStart + start, length };
}

function requireFilled(
  tensors: ReadonlyMap<string, LocatedTensor>,
  dataStart: number,
  file: RandomAccessFile,
): void {
  let next = dataStart;
  const inOrder = [...tensors].sort(([, a], [, b]) => a.position - b.position || a.length - b.length);
  for (const [name, { position, length }] of inOrder) {
    if (position !== next)
      throw new DataLossError(`starts at byte ${position}; the tensors before it end at ${next}`, {
        place: `${file.path}: ${name}`,
      });
    next += length;
  }
  if (next !== file.size)
    throw new DataLossError(`should have ${next} bytes and has ${file.size}`, { place: file.path });
}
