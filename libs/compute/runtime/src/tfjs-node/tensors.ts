import { type DType, type NdArray, ndArray, UnsupportedError } from '@online-cnclip/foundation';
import { type DataType, type Tensor, tensor } from '@tensorflow/tfjs-core';

/** Element types that both sides have. */
const COMMON_TYPES: ReadonlySet<string> = new Set(['float32', 'int32', 'bool']);

/** A copy of an array on the device. */
export function toTensor({ dtype, shape, data }: NdArray, place: string): Tensor {
  if (!COMMON_TYPES.has(dtype))
    throw new UnsupportedError(`arrays of ${dtype} cannot be computed with`, { place });
  // The binding takes ordinary memory only.
  const plain = data.buffer instanceof SharedArrayBuffer ? data.slice() : data;
  return tensor(plain as Float32Array, [...shape], dtype as DataType);
}

/** A copy of a tensor in memory. */
export async function toArray(source: Tensor): Promise<NdArray> {
  const { dtype, shape } = source;
  if (!COMMON_TYPES.has(dtype)) throw new UnsupportedError(`tensors of ${dtype} cannot be read`);
  return ndArray(dtype as DType, shape, await source.data());
}
