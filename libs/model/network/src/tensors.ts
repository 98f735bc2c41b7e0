import type { Tensor } from '@tensorflow/tfjs-core';

export type Tensors = Readonly<Record<string, Tensor>>;

/** The named tensor of a program; a missing one is a defect of the program, not of its caller. */
export function at(tensors: Tensors, name: string): Tensor {
  const tensor = tensors[name];
  if (!tensor) throw new Error(`tensor ${name} is not part of this program`);
  return tensor;
}
