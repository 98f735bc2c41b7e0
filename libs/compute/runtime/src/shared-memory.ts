import { type NdArray, sizeOf } from '@online-cnclip/foundation';

/** Float32 zeros in memory that every thread of the process sees. */
export function sharedZeros(shape: readonly number[]): NdArray<'float32'> {
  const buffer = new SharedArrayBuffer(sizeOf(shape) * Float32Array.BYTES_PER_ELEMENT);
  return { dtype: 'float32', shape, data: new Float32Array(buffer) };
}

/** The array itself when it is in shared memory already, else a copy of it there. */
export function toShared(array: NdArray<'float32'>): NdArray<'float32'> {
  if (isShared(array)) return array;
  const copy = sharedZeros(array.shape);
  copy.data.set(array.data);
  return copy;
}

export const isShared = (array: NdArray): boolean => array.data.buffer instanceof SharedArrayBuffer;

/**
 * What another thread is to be sent of an array: of a view its own elements, for a message would take the whole buffer behind
 * it along.
 */
export function withoutRest<A extends NdArray>(array: A): A {
  const { buffer, byteLength } = array.data;
  if (buffer instanceof SharedArrayBuffer || byteLength === buffer.byteLength) return array;
  return { ...array, data: array.data.slice() };
}
