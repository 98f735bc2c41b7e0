import { DataLossError, UnsupportedError } from '@online-cnclip/foundation';

// The format: numpy's documentation, numpy.lib.format.

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
const LENGTH_BYTES = { 1: 2, 2: 4 } as const;

/** Magic and version, and the longest length field after them. */
export const PREAMBLE_BYTES = MAGIC.length + 2 + 4;

/** numpy writes 128 bytes; a header of more than this is damage, not a matrix. */
export const MAX_HEADER_BYTES = 64 * 1024;

/** The whole header is padded to a multiple of this, so that the data can be mapped. */
const ALIGNMENT = 64;

/** numpy leaves room for the first dimension to grow to so many digits. */
const GROWTH_DIGITS = 21;

export interface NpyHeader {
  readonly shape: readonly number[];
  /** Where the numbers begin. */
  readonly dataOffset: number;
}

/** Length of the whole header, from a file's first bytes. @throws DataLossError when it is no .npy file. */
export function headerLength(preamble: Buffer, path: string): number {
  if (preamble.length < PREAMBLE_BYTES || !preamble.subarray(0, MAGIC.length).equals(MAGIC))
    throw new DataLossError('is not a .npy file', { place: path });
  const version = preamble[MAGIC.length];
  const start = MAGIC.length + 2;
  if (version === 1) return start + LENGTH_BYTES[1] + preamble.readUInt16LE(start);
  if (version === 2 || version === 3) return start + LENGTH_BYTES[2] + preamble.readUInt32LE(start);
  throw new UnsupportedError(`.npy version ${version} is not known`, { place: path });
}

/**
 * @param header all of it, as long as {@link headerLength} says.
 * @throws DataLossError when it is not a header, UnsupportedError for other numbers than float32 or another order
 *   than C's.
 */
export function parseNpyHeader(header: Buffer, path: string): NpyHeader {
  const start = MAGIC.length + 2 + LENGTH_BYTES[header[MAGIC.length] === 1 ? 1 : 2];
  const text = header.subarray(start).toString('utf8');
  const type = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (type === undefined || order === undefined || shape === undefined)
    throw new DataLossError(`is not a .npy header: ${JSON.stringify(text.trim().slice(0, 200))}`, {
      place: path,
    });
  if (type !== '<f4') throw new UnsupportedError(`holds ${type}, not float32 ('<f4')`, { place: path });
  if (order === 'True')
    throw new UnsupportedError('is in Fortran order; save it with numpy.ascontiguousarray', { place: path });
  const dimensions = shape.split(',').filter((part) => part.trim() !== '');
  return { shape: dimensions.map(Number), dataOffset: header.length };
}

/** A header of version 1, byte for byte numpy's own. */
export function formatNpyHeader(shape: readonly number[]): Buffer {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': ${tuple}, }`;
  const growth = shape.length > 0 ? GROWTH_DIGITS - String(shape[0]).length : 0;
  const start = MAGIC.length + 2 + LENGTH_BYTES[1];
  const length = Math.ceil((start + text.length + growth + 1) / ALIGNMENT) * ALIGNMENT;
  const header = Buffer.alloc(length, ' ');
  MAGIC.copy(header);
  header.set([1, 0], MAGIC.length);
  header.writeUInt16LE(length - start, MAGIC.length + 2);
  header.write(text, start, 'latin1');
  header[length - 1] = 0x0a;
  return header;
}
