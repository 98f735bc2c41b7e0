import { open } from 'node:fs/promises';
import { type NamedArrays, type NdArray, replaceFileAtomically } from '@online-cnclip/foundation';
import type { Precision } from '../checkpoint.ts';
import { encode, STORED_TYPES, type StoredType } from '../element-types.ts';
import { TYPE_NAMES } from './header.ts';

export interface WriteSafetensorsOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /** Of float32 tensors in the file (default fp32). */
  readonly precision?: Precision;
}

const STORED_AS = { fp32: 'float32', fp16: 'float16', bf16: 'bfloat16' } as const;
const NAMES = new Map(Object.entries(TYPE_NAMES).map(([name, type]) => [type, name]));
// The data starts at a multiple of this, so that it can be mapped.
const ALIGNMENT = 8;
const WRITE_BYTES = 1 << 26;

/**
 * Writes a safetensors file atomically. Tensors are laid out by element size, largest first, then in the given
 * order, so that each is aligned to its elements.
 */
export async function writeSafetensors(
  path: string,
  arrays: NamedArrays,
  { metadata, precision = 'fp32' }: WriteSafetensorsOptions = {},
): Promise<void> {
  const typeOf = ({ dtype }: NdArray): StoredType => (dtype === 'float32' ? STORED_AS[precision] : dtype);
  const width = (array: NdArray) => STORED_TYPES[typeOf(array)];
  const tensors = [...arrays].sort(([, a], [, b]) => width(b) - width(a));
  const header: Record<string, unknown> = Object.create(null);
  if (metadata) header['__metadata__'] = metadata;
  let offset = 0;
  for (const [name, array] of tensors) {
    const end = offset + array.data.length * width(array);
    header[name] = { dtype: NAMES.get(typeOf(array)), shape: array.shape, data_offsets: [offset, end] };
    offset = end;
  }
  await replaceFileAtomically(path, async (temporaryPath) => {
    const file = await open(temporaryPath, 'wx');
    try {
      await file.writeFile(encodeHeader(header));
      for (const [, array] of tensors) {
        const bytes = encode(array, typeOf(array));
        for (let i = 0; i < bytes.length; i += WRITE_BYTES)
          await file.writeFile(bytes.subarray(i, i + WRITE_BYTES));
      }
    } finally {
      await file.close();
    }
  });
}

function encodeHeader(header: Record<string, unknown>): Buffer {
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  const padded = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  const bytes = Buffer.alloc(8 + padded, ' ');
  bytes.writeBigUInt64LE(BigInt(padded));
  json.copy(bytes, 8);
  return bytes;
}
