import { createRequire } from 'node:module';
import {
  apply,
  collectGraph,
  constant,
  type Elements,
  type ElementType,
  elementsOf,
  encodeModel,
  TracerBackend,
  type Value,
} from '@online-cnclip/tracer';
import type { BackendValues, DataId, DataType, TensorInfo } from '@tensorflow/tfjs-core';

interface OrtTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: Elements;
}
interface NativeSession {
  loadModel(bytes: ArrayBufferLike, offset: number, length: number, options: object): void;
  run(feeds: object, fetches: object, options: object): Record<string, OrtTensor>;
  dispose(): void;
}

// onnxruntime-node's public interface is asynchronous only; TFJS's tests also read values synchronously.
const require = createRequire(import.meta.url);
const { binding, initOrt } = require('onnxruntime-node/dist/binding.js') as {
  binding: { InferenceSession: new () => NativeSession };
  initOrt(): void;
};

/** A tracer whose tensors can be read: what was recorded for a tensor is compiled and run by onnxruntime. */
export class EvaluatingBackend extends TracerBackend {
  readonly #evaluated = new WeakMap<Value, Value>();

  /** A handle, checked: what the kernel recorded must have the type that it claims. */
  override tensor(value: Value, dtype?: DataType): TensorInfo {
    const info = super.tensor(value, dtype);
    const expected = value.elementType === 'int64' ? 'int32' : value.elementType;
    if (info.dtype !== expected) throw new Error(`a ${expected} value was handed out as ${info.dtype}`);
    return info;
  }

  override readSync(dataId: DataId): BackendValues {
    const recorded = this.recorded(dataId);
    if (!recorded) throw new Error('an unknown tensor was read');
    const known = this.#evaluated.get(recorded) ?? evaluate(recorded);
    this.#evaluated.set(recorded, known);
    const { producer } = known;
    if (producer.kind !== 'constant') throw new Error('evaluation gave no constant');
    // A copy: a reader may write into what it was given.
    return producer.elements.slice() as BackendValues;
  }
}

/** The value as a constant with every element present. */
function evaluate(value: Value): Value {
  const whole =
    value.elementType === 'int64'
      ? apply('Cast', [value], value.shape, 'int32', { to: { int: INT32 } })
      : value;
  if (whole.producer.kind === 'constant') return filled(whole, whole.producer.elements);
  const { message } = collectGraph('spec', [], [['y', whole]], (shape) => shape);
  const bytes = encodeModel(message);
  initOrt();
  const session = new binding.InferenceSession();
  session.loadModel(bytes.buffer, bytes.byteOffset, bytes.byteLength, SESSION_OPTIONS);
  try {
    const { y } = session.run({}, { y: null }, {}) as { y: OrtTensor };
    if (y.dims.join() !== value.shape.join())
      throw new Error(`onnxruntime made [${y.dims}] of what was recorded as [${value.shape}]`);
    if (y.type !== whole.elementType)
      throw new Error(`onnxruntime made ${y.type} of what was recorded as ${whole.elementType}`);
    return constant(whole.elementType, value.shape, y.data.slice() as Elements);
  } finally {
    session.dispose();
  }
}

/** A constant of one element can stand for many. */
function filled(value: Value, elements: Elements): Value {
  const size = value.shape.reduce((product, length) => product * length, 1);
  if (elements.length === size) return value;
  const all = elementsOf(value.elementType, Array<number>(size).fill(Number(elements[0])));
  return constant(value.elementType, value.shape, all);
}

const INT32 = 6;
// As the runtime has it, so that onnxruntime's graph optimizer is a part of what is tested.
const SESSION_OPTIONS = { intraOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 4 };
