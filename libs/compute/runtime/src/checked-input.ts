import { type DType, InvalidInputError, type NdArray, sizeOf } from '@online-cnclip/foundation';
import type { TensorSpec } from '@online-cnclip/tracer';

/** What an array is like, wherever its elements are. */
interface ArrayLike {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** @throws InvalidInputError naming program and input when the array is missing or does not fit the spec. */
export function checkedInput<T extends ArrayLike>(
  program: string,
  spec: TensorSpec,
  array: T | undefined,
): T {
  const place = `${program}: input "${spec.name}"`;
  if (!array) throw new InvalidInputError('is missing', { place });
  const { dtype, shape } = array;
  const fits =
    shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => typeof size === 'string' || size === shape[axis]);
  if (!fits || dtype !== spec.dtype)
    throw new InvalidInputError(`${dtype}[${shape}] given, ${spec.dtype}[${spec.shape}] expected`, { place });
  const data = (array as Partial<NdArray>).data;
  if (data && data.length !== sizeOf(shape))
    throw new InvalidInputError(`${data.length} values for the shape [${shape}]`, { place });
  return array;
}
