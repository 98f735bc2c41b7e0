import { InvalidInputError, sizeOf, UnsupportedError } from '@online-cnclip/foundation';
import {
  type BackendValues,
  type DataId,
  type DataType,
  KernelBackend,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { apply, constant, elementsOf, scalar, uniformElement, type Value } from './graph.ts';
import type { ElementType } from './onnx-format.ts';
import { isSymbolic, shapeOperand } from './symbols.ts';

export const TRACER_BACKEND = 'onnx-tracer';

const MACHINE_EPSILON = 1e-7;

/** The ONNX element type of a TFJS data type. @throws UnsupportedError for complex64 and string. */
export function elementTypeOf(dtype: DataType): ElementType {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw new UnsupportedError(`tensors of type ${dtype} cannot be traced`);
}

/** A TFJS backend whose kernels compute nothing: each records what it would do as ONNX nodes. */
export class TracerBackend extends KernelBackend {
  readonly #values = new WeakMap<DataId, Value>();

  /** A TFJS tensor handle for a recorded value. */
  tensor(
    value: Value,
    dtype: DataType = value.elementType === 'int64' ? 'int32' : value.elementType,
  ): TensorInfo {
    const dataId: DataId = {};
    this.#values.set(dataId, value);
    return { dataId, shape: [...value.shape], dtype };
  }

  /** The recorded value of a tensor; its shape is the tensor's (a reshape can share data). */
  value(tensor: TensorInfo): Value {
    const value = this.#values.get(tensor.dataId);
    if (!value) throw new InvalidInputError('a tensor from outside the trace was used; pass it as an input');
    if (value.shape.join() === tensor.shape.join()) return value;
    if (value.producer.kind === 'constant') return { ...value, shape: tensor.shape };
    return apply('Reshape', [value, shapeOperand(tensor.shape)], tensor.shape, value.elementType);
  }

  /**
   * The recorded value for use as an operand: a large constant of equal elements, or one with symbolic
   * sizes, becomes a scalar that is expanded when the graph runs.
   */
  operand(tensor: TensorInfo): Value {
    return expanded(this.value(tensor));
  }

  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    const dataId: DataId = {};
    this.move(dataId, values, shape, dtype);
    return dataId;
  }

  override move(dataId: DataId, values: BackendValues, shape: number[], dtype: DataType): void {
    const elementType = elementTypeOf(dtype);
    const elements = elementsOf(elementType, (values ?? []) as ArrayLike<number>);
    this.#values.set(dataId, constant(elementType, shape, elements));
  }

  override readSync(_dataId: DataId): BackendValues {
    throw new UnsupportedError('a traced tensor has no values: the program must not read them');
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    return this.readSync(dataId);
  }

  // The recorded graph keeps what it needs alive; TFJS's own reference counts do not matter here.
  override incRef(): void {}
  decRef(): void {}
  override refCount(): number {
    return 1;
  }
  override disposeData(): boolean {
    return true;
  }
  override numDataIds(): number {
    return 0;
  }
  override timerAvailable(): boolean {
    return false;
  }
  override floatPrecision(): 16 | 32 {
    return 32;
  }
  override epsilon(): number {
    return MACHINE_EPSILON;
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
  override dispose(): void {}
}

/** A constant of equal elements as a value of its whole shape; any other value as it is. */
export function expanded(value: Value): Value {
  if (value.producer.kind !== 'constant' || value.producer.externalName !== undefined) return value;
  const { elements } = value.producer;
  const symbolic = value.shape.some(isSymbolic);
  const isWhole = !symbolic && elements.length === sizeOf(value.shape);
  if (isWhole && elements.length <= MAX_EXPANDED_INLINE) return value;
  const uniform = uniformElement(value);
  if (uniform !== null) {
    const operands = [scalar(value.elementType, uniform), shapeOperand(value.shape)];
    return apply('Expand', operands, value.shape, value.elementType);
  }
  if (symbolic) throw new UnsupportedError(`a constant of symbolic shape [${value.shape}] cannot be traced`);
  return value;
}

/** Larger uniform constants are expanded at run time instead of being written into the model. */
const MAX_EXPANDED_INLINE = 64;
