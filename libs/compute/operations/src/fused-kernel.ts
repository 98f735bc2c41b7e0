import {
  engine,
  getKernel,
  type NamedAttrMap,
  type NamedTensorMap,
  type Tensor,
} from '@tensorflow/tfjs-core';

/** What `customGrad` hands to a function to keep tensors for its gradient. */
export type GradSaver = (tensors: Tensor[]) => void;

/**
 * Runs a kernel of our own where the active backend has one, else the same computation composed of TFJS
 * operations. Call it inside `customGrad`: the kernel has no gradient of its own.
 */
export function fusedOr(
  kernelName: string,
  inputs: NamedTensorMap,
  attributes: NamedAttrMap,
  compose: () => Tensor | Tensor[],
): Tensor[] {
  const found = getKernel(kernelName, engine().backendName);
  const result = found ? engine().runKernel<Tensor | Tensor[]>(kernelName, inputs, attributes) : compose();
  return Array.isArray(result) ? result : [result];
}

/** The first tensor of a kernel that has a fixed number of outputs. */
export function nth(tensors: readonly Tensor[], index: number): Tensor {
  const tensor = tensors[index];
  if (!tensor)
    throw new Error(`a fused kernel made ${tensors.length} outputs, output ${index} was asked for`);
  return tensor;
}
