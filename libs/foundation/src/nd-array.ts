import { InvalidInputError } from './errors.ts';

/** Element types that tensors in memory can have; files may hold others, converted when they are read. */
export interface ArrayTypes {
  float32: Float32Array;
  int32: Int32Array;
  int64: BigInt64Array;
  bool: Uint8Array;
  uint8: Uint8Array;
}
export type DType = keyof ArrayTypes;

/** A dense row-major array in memory: `data.length` is the product of `shape` (1 for a scalar, shape []). */
export interface NdArray<T extends DType = DType> {
  readonly dtype: T;
  readonly shape: readonly number[];
  readonly data: ArrayTypes[T];
}

/** Tensors by name, in a stable order. */
export type NamedArrays = ReadonlyMap<string, NdArray>;

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

/** @throws InvalidInputError when the data's length is not the product of the shape. */
export function ndArray<T extends DType>(
  dtype: T,
  shape: readonly number[],
  data: ArrayTypes[T],
): NdArray<T> {
  if (data.length !== sizeOf(shape))
    throw new InvalidInputError(`${data.length} values do not fill the shape [${shape}]`);
  return { dtype, shape, data };
}

export const float32 = (shape: readonly number[], data: Float32Array): NdArray<'float32'> =>
  ndArray('float32', shape, data);

export const int32 = (shape: readonly number[], data: Int32Array): NdArray<'int32'> =>
  ndArray('int32', shape, data);

/** A new array of zeros. */
export function zeros(shape: readonly number[]): NdArray<'float32'> {
  return { dtype: 'float32', shape, data: new Float32Array(sizeOf(shape)) };
}

/** The named tensor as float32. @throws InvalidInputError when it is missing or of another type. */
export function requireFloat32(arrays: NamedArrays, name: string): NdArray<'float32'> {
  const array = arrays.get(name);
  if (!array) throw new InvalidInputError(`tensor "${name}" is missing`);
  if (array.dtype !== 'float32')
    throw new InvalidInputError(`tensor "${name}" is ${array.dtype}, not float32`);
  return array as NdArray<'float32'>;
}

/**
 * Gives the arrays' memory back at once; they are empty afterwards. For gigabytes that are needed only to start: the garbage
 * collector counts objects, not what they hold, and may leave them for as long as the process runs.
 */
export function releaseArrays(arrays: Iterable<NdArray>): void {
  for (const { data } of arrays) if (data.buffer instanceof ArrayBuffer) data.buffer.transfer(0);
}
