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
import { reshape } from './reshape.ts';
import { isSymbolic, shapeOperand } from './symbols.ts';

export const TRACER_BACKEND = 'onnx-tracer';

const MACHINE_EPSILON = 1e-7;

/** The ONNX element type of a TFJS data type. @throws UnsupportedError for complex64 and string. */
export function elementTypeOf(dtype: DataType): ElementType {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw new UnsupportedError(`tensors of type ${dtype} cannot be traced`);
}

const tfjsTypeOf = (elementType: ElementType): DataType => {
  if (elementType === 'int64') return 'int32';
  return elementType === 'float16' ? 'float32' : elementType;
};

/** A TFJS backend whose kernels compute nothing: each records what it would do as ONNX nodes. */
export class TracerBackend extends KernelBackend {
  #values = new WeakMap<DataId, { readonly value: Value; references: number }>();
  #count = 0;

  /** A TFJS tensor handle for a recorded value. */
  tensor(value: Value, dtype: DataType = tfjsTypeOf(value.elementType)): TensorInfo {
    const dataId: DataId = {};
    this.#remember(dataId, value);
    return { dataId, shape: [...value.shape], dtype };
  }

  /** What was recorded under a handle. */
  protected recorded(dataId: DataId): Value | undefined {
    return this.#values.get(dataId)?.value;
  }

  #remember(dataId: DataId, value: Value): void {
    this.#values.set(dataId, { value, references: 1 });
    this.#count++;
  }

  /** The recorded value of a tensor; its shape is the tensor's (a reshape can share data). */
  value(tensor: TensorInfo): Value {
    const value = this.recorded(tensor.dataId);
    if (!value) throw new InvalidInputError('a tensor from outside the trace was used; pass it as an input');
    if (value.shape.join() === tensor.shape.join()) return value;
    if (value.producer.kind === 'constant') return { ...value, shape: tensor.shape };
    return reshape(value, tensor.shape);
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
    this.#remember(dataId, constant(elementType, shape, elements));
  }

  override readSync(_dataId: DataId): BackendValues {
    throw new UnsupportedError('a traced tensor has no values: the program must not read them');
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    return this.readSync(dataId);
  }

  // A handle that TFJS lets go of is forgotten; the recorded graph keeps the values that it needs.
  override incRef(dataId: DataId): void {
    const entry = this.#values.get(dataId);
    if (entry) entry.references++;
  }
  decRef(dataId: DataId): void {
    const entry = this.#values.get(dataId);
    if (entry) entry.references--;
  }
  override refCount(dataId: DataId): number {
    return this.#values.get(dataId)?.references ?? 0;
  }
  override disposeData(dataId: DataId, force = false): boolean {
    this.decRef(dataId);
    if (!force && this.refCount(dataId) > 0) return false;
    if (this.#values.delete(dataId)) this.#count--;
    return true;
  }
  override numDataIds(): number {
    return this.#count;
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
  override dispose(): void {
    this.#values = new WeakMap();
    this.#count = 0;
  }
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
