import { type DType, type NdArray, UnsupportedError } from '@online-cnclip/foundation';

/** Bytes per element of every type that a header may name; {@link receive} says which can be read. */
export const STORED_TYPES = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
} as const;
export type StoredType = keyof typeof STORED_TYPES;

/** Where a tensor's stored bytes go, and the array that they become. */
export interface Receiver {
  /** To be filled with the stored little-endian bytes. */
  readonly bytes: Uint8Array;
  /** Converts in place; call once, after filling. */
  finish(shape: readonly number[]): NdArray;
}

// Elements converted at once: TypedArray.set copies an overlapping source first, so this bounds that copy.
const CONVERT_BLOCK = 65536;

/** Bytes that {@link receive} allocates per element: half precision becomes float32. */
export const bytesInMemory = (type: StoredType): number => Math.max(STORED_TYPES[type], isHalf(type) ? 4 : 0);

/** A new array for `length` elements of a stored type. @throws UnsupportedError for a type without a place in memory. */
export function receive(type: StoredType, length: number, place: string): Receiver {
  switch (type) {
    case 'float32':
      return receiver('float32', new Float32Array(length));
    case 'int64':
      return receiver('int64', new BigInt64Array(length));
    case 'int32':
      return receiver('int32', new Int32Array(length));
    case 'uint8':
    case 'bool':
      return receiver(type, new Uint8Array(length));
    case 'float16':
    case 'bfloat16':
      return receiveHalf(type, length);
    default:
      throw new UnsupportedError(`tensors of type ${type} are not supported`, { place });
  }
}

function receiver<T extends DType>(dtype: T, data: NdArray<T>['data']): Receiver {
  return {
    bytes: bytesOf(data),
    finish: (shape) => ({ dtype, shape, data }),
  };
}

/** The 16-bit values are read into the upper half of the result and widened upwards, so no second buffer is needed. */
function receiveHalf(type: 'float16' | 'bfloat16', length: number): Receiver {
  const data = new Float32Array(length);
  const widen = type === 'float16' ? widenFloat16 : widenBfloat16;
  return {
    bytes: new Uint8Array(data.buffer, 2 * length, 2 * length),
    finish: (shape) => {
      widen(data);
      return { dtype: 'float32', shape, data };
    },
  };
}

function widenFloat16(data: Float32Array<ArrayBuffer>): void {
  const half = new Float16Array(data.buffer, 2 * data.length, data.length);
  for (let i = 0; i < data.length; i += CONVERT_BLOCK) data.set(half.subarray(i, i + CONVERT_BLOCK), i);
}

function widenBfloat16(data: Float32Array<ArrayBuffer>): void {
  const half = new Uint16Array(data.buffer, 2 * data.length, data.length);
  const bits = new Uint32Array(data.buffer);
  for (let i = 0; i < data.length; i++) bits[i] = (half[i] as number) << 16;
}

/** The stored little-endian bytes of an array: a view, except for float32 stored in half precision. */
export function encode(array: NdArray, type: StoredType): Uint8Array {
  if (array.dtype !== 'float32' || type === 'float32') return bytesOf(array.data);
  const data = array.data as Float32Array;
  if (type === 'float16') return bytesOf(new Float16Array(data));
  if (type === 'bfloat16') return bytesOf(narrowBfloat16(data));
  throw new UnsupportedError(`float32 cannot be stored as ${type}`);
}

/** Rounds to nearest, ties to even; NaN stays NaN. */
function narrowBfloat16(data: Float32Array): Uint16Array {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const half = new Uint16Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const value = bits[i] as number;
    const isNotANumber = (value & 0x7fffffff) > 0x7f800000;
    half[i] = isNotANumber ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
  return half;
}

export const isHalf = (type: StoredType): boolean => type === 'float16' || type === 'bfloat16';

export const bytesOf = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
