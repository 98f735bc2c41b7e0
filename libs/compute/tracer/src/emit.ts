import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { TracerBackend } from './backend.ts';
import { type Attributes, type OutputSpec, record } from './graph.ts';
import { type KernelBody, kernel } from './kernels/kernel.ts';

export interface EmittedNode {
  readonly op: string;
  readonly domain?: string;
  readonly inputs: readonly (TensorInfo | null)[];
  readonly outputs: readonly OutputSpec[];
  readonly attributes?: Attributes;
}

/** Records one ONNX node from the body of a kernel of our own (see `registerTracerKernel`). */
export function emitNode(backend: TracerBackend, node: EmittedNode): TensorInfo[] {
  const inputs = node.inputs.map((tensor) => (tensor ? backend.operand(tensor) : null));
  return record(node.op, inputs, node.outputs, node.attributes, node.domain).map((value) =>
    backend.tensor(value),
  );
}

/** Registers the tracer's implementation of a kernel that TFJS does not have. */
export function registerTracerKernel(name: string, body: KernelBody): void {
  kernel(name, body);
}
