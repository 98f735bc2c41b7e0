import {
  backend_util,
  type DataType,
  type NamedAttrMap,
  type NamedTensorInfoMap,
  registerKernel,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { elementTypeOf, TRACER_BACKEND, type TracerBackend } from '../backend.ts';
import { apply, scalar, uniformElement, type Value } from '../graph.ts';
import { type Attribute, type ElementType, ONNX_DATA_TYPE } from '../onnx-format.ts';

// biome-ignore lint/suspicious/noExplicitAny: TFJS types attributes by kernel name only; each kernel knows its own
export type KernelAttributes = Record<string, any>;
export type KernelInputs = Record<string, TensorInfo>;
export type KernelBody = (
  inputs: KernelInputs,
  attributes: KernelAttributes,
  backend: TracerBackend,
) => TensorInfo | TensorInfo[];

/** Registers one kernel of the tracer: it records nodes and returns handles. */
export function kernel(name: string, body: KernelBody): void {
  registerKernel({
    kernelName: name,
    backendName: TRACER_BACKEND,
    kernelFunc: ({ inputs, attrs, backend }) =>
      body(
        inputs as NamedTensorInfoMap as KernelInputs,
        (attrs ?? {}) as NamedAttrMap as KernelAttributes,
        backend as TracerBackend,
      ),
  });
}

export function input(inputs: KernelInputs, name: string): TensorInfo {
  const tensor = inputs[name];
  if (!tensor) throw new Error(`kernel input ${name} is missing`);
  return tensor;
}

export const broadcastShape = (a: readonly number[], b: readonly number[]): number[] =>
  backend_util.assertAndGetBroadcastShape([...a], [...b]);

const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, axis) => size === b[axis]);

/** The two operands of a broadcasting node; a constant of equal elements stays a scalar where it broadcasts. */
export function broadcastOperands(
  backend: TracerBackend,
  a: TensorInfo,
  b: TensorInfo,
  shape: readonly number[],
): [Value, Value] {
  const left = sameShape(b.shape, shape) ? uniformScalar(backend, a) : null;
  const right = !left && sameShape(a.shape, shape) ? uniformScalar(backend, b) : null;
  return [left ?? backend.operand(a), right ?? backend.operand(b)];
}

function uniformScalar(backend: TracerBackend, tensor: TensorInfo): Value | null {
  const value = backend.value(tensor);
  const uniform = uniformElement(value);
  return uniform === null ? null : scalar(value.elementType, uniform);
}

export const int = (value: number): Attribute => ({ int: value });
export const float = (value: number): Attribute => ({ float: value });
export const ints = (values: readonly number[]): Attribute => ({ ints: values });

export function cast(value: Value, to: ElementType): Value {
  if (value.elementType === to) return value;
  return apply('Cast', [value], value.shape, to, { to: int(ONNX_DATA_TYPE[to]) });
}

/** @throws UnsupportedError for complex64 and string. */
export const typeOf = (dtype: DataType): ElementType => elementTypeOf(dtype);

/** x with another value in the place of NaN. */
export function withoutNaN(x: Value, replacement: number): Value {
  const missing = apply('IsNaN', [x], x.shape, 'bool');
  return apply('Where', [missing, scalar('float32', replacement), x], x.shape, 'float32');
}

/** Elementwise operators of ONNX do not take booleans in arithmetic: as int32 they behave as TFJS does. */
export const numeric = (value: Value): Value => (value.elementType === 'bool' ? cast(value, 'int32') : value);
