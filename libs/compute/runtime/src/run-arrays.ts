import { InvalidInputError, type NdArray, sizeOf } from '@online-cnclip/foundation';
import type { TensorSpec } from '@online-cnclip/tracer';
import type { ArrayMessage } from './protocol.ts';

/** Puts the caller's arrays in the place of the outputs, with their values where those were not written in place. */
export function writeInto(outputs: Map<string, NdArray>, into: Readonly<Record<string, NdArray>>): void {
  for (const [name, array] of Object.entries(into)) {
    const fresh = outputs.get(name);
    if (fresh) (array.data as Float32Array).set(fresh.data as Float32Array);
    outputs.set(name, array);
  }
}

export function checkedInput(program: string, spec: TensorSpec, array: NdArray | undefined): ArrayMessage {
  const place = `${program}: input "${spec.name}"`;
  if (!array) throw new InvalidInputError('is missing', { place });
  const fits =
    array.shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => typeof size === 'string' || size === array.shape[axis]);
  if (!fits || array.dtype !== spec.dtype)
    throw new InvalidInputError(
      `${array.dtype}[${array.shape}] given, ${spec.dtype}[${spec.shape}] expected`,
      { place },
    );
  if (array.data.length !== sizeOf(array.shape))
    throw new InvalidInputError(`${array.data.length} values for the shape [${array.shape}]`, { place });
  return { name: spec.name, dtype: array.dtype, shape: array.shape, data: array.data };
}
