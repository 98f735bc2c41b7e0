import * as tf from '@tensorflow/tfjs-core';
import { apply, constant, elementsOf, int64List, scalar, type Value } from '../graph.ts';
import { reshape } from '../reshape.ts';
import { shapeOperand } from '../symbols.ts';
import { input, int, type KernelAttributes, kernel, typeOf } from './kernel.ts';

/** The end of a slice that goes backwards through the first element. */
const BEFORE_FIRST = Number.MIN_SAFE_INTEGER;

function slice(x: Value, begin: readonly number[], size: readonly number[]): Value {
  const axes = begin.map((_, axis) => axis).filter((axis) => size[axis] !== x.shape[axis]);
  if (axes.length === 0) return x;
  const starts = axes.map((axis) => begin[axis] as number);
  const ends = axes.map((axis) => (begin[axis] as number) + (size[axis] as number));
  return apply('Slice', [x, int64List(starts), shapeOperand(ends), int64List(axes)], size, x.elementType);
}

function stridedSlice(x: Value, attributes: KernelAttributes): Value {
  const { begin, end, strides, beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attributes;
  const masks = [beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask] as const;
  const info = tf.slice_util.sliceInfo([...x.shape], begin, end, strides, ...masks);
  if (info.isIdentity) return reshape(x, info.finalShape);
  // Going backwards TFJS's end before the first element is -1, which ONNX counts from the last one.
  const ends = info.end.map((to, axis) => ((info.strides[axis] as number) < 0 && to < 0 ? BEFORE_FIRST : to));
  const axes = info.begin.map((_, axis) => axis);
  const operands = [x, ...[info.begin, ends, axes, info.strides].map(int64List)];
  const lengths = tf.slice_util.computeOutShape(info.begin, info.end, info.strides);
  const shape = lengths.map((length) => Math.max(0, length));
  return reshape(apply('Slice', operands, shape, x.elementType), info.finalShape);
}

function split(x: Value, sizes: readonly number[], axis: number): readonly Value[] {
  let start = 0;
  return sizes.map((size) => {
    const begin = x.shape.map(() => 0);
    begin[axis] = start;
    start += size;
    return slice(
      x,
      begin,
      x.shape.map((whole, i) => (i === axis ? size : whole)),
    );
  });
}

function concat(values: readonly Value[], axis: number): Value {
  const shapes = values.map(({ shape }) => [...shape]);
  tf.backend_util.assertParamsConsistent(shapes, axis);
  const shape = tf.backend_util.computeOutShape(shapes, axis);
  const { elementType } = values[0] as Value;
  if (tf.util.sizeFromShape(shape) === 0) return constant(elementType, shape, elementsOf(elementType, []));
  const filled = values.filter((value) => tf.util.sizeFromShape([...value.shape]) > 0);
  if (filled.length === 1) return filled[0] as Value;
  return apply('Concat', filled, shape, elementType, { axis: int(axis) });
}

function registerSlices(): void {
  kernel(tf.Slice, (inputs, { begin, size }, backend) => {
    const x = input(inputs, 'x');
    const [starts = [], sizes = []] = tf.slice_util.parseSliceParams(x, begin, size);
    tf.slice_util.assertParamsValid(x, starts, sizes);
    return backend.tensor(slice(backend.operand(x), starts, sizes));
  });
  kernel(tf.StridedSlice, (inputs, attributes, backend) => {
    const x = input(inputs, 'x');
    return backend.tensor(stridedSlice(backend.operand(x), attributes));
  });
  kernel(tf.SplitV, (inputs, { numOrSizeSplits, axis }, backend) => {
    const x = input(inputs, 'x');
    const [along = 0] = tf.util.parseAxisParam(axis, x.shape);
    const sizes = tf.backend_util.prepareSplitSize(x as tf.Tensor, numOrSizeSplits, along);
    return split(backend.operand(x), sizes, along).map((part) => backend.tensor(part));
  });
  kernel(tf.Unpack, (inputs, { axis }, backend) => {
    const x = input(inputs, 'value');
    const along = axis < 0 ? axis + x.shape.length : axis;
    const sizes = Array<number>(x.shape[along] as number).fill(1);
    const shape = x.shape.filter((_, i) => i !== along);
    return split(backend.operand(x), sizes, along).map((part) => backend.tensor(reshape(part, shape)));
  });
}

function registerJoins(): void {
  kernel(tf.Concat, (inputs, { axis }, backend) => {
    const tensors = Object.values(inputs);
    const [along = 0] = tf.util.parseAxisParam(axis, (tensors[0] as tf.TensorInfo).shape);
    return backend.tensor(
      concat(
        tensors.map((tensor) => backend.operand(tensor)),
        along,
      ),
    );
  });
  kernel(tf.Pack, (inputs, { axis }, backend) => {
    const tensors = Object.values(inputs);
    const rank = (tensors[0] as tf.TensorInfo).shape.length + 1;
    const along = axis < 0 ? axis + rank : axis;
    const [{ shape: first, dtype }] = tensors as [tf.TensorInfo];
    for (const tensor of tensors) {
      tf.util.assertShapesMatch(first, tensor.shape, 'tensors to stack have different shapes');
      tf.util.assert(tensor.dtype === dtype, () => `a ${tensor.dtype} stacked with ${dtype}`);
    }
    const parts = tensors.map((tensor) => {
      const shape = [...tensor.shape];
      shape.splice(along, 0, 1);
      return reshape(backend.operand(tensor), shape);
    });
    return backend.tensor(concat(parts, along));
  });
  kernel(tf.Tile, (inputs, { reps }, backend) => {
    const x = backend.operand(input(inputs, 'x'));
    const shape = x.shape.map((size, axis) => size * reps[axis]);
    return backend.tensor(apply('Tile', [x, shapeOperand(reps)], shape, x.elementType));
  });
  kernel(tf.PadV2, (inputs, { paddings, constantValue }, backend) => {
    const x = backend.operand(input(inputs, 'x'));
    const pads = paddings as [number, number][];
    const shape = x.shape.map((size, axis) => size + (pads[axis]?.[0] ?? 0) + (pads[axis]?.[1] ?? 0));
    const amounts = int64List([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]);
    return backend.tensor(
      apply('Pad', [x, amounts, scalar(x.elementType, constantValue)], shape, x.elementType),
    );
  });
  kernel(tf.Reverse, (inputs, { dims }, backend) => {
    const x = backend.operand(input(inputs, 'x'));
    const axes = tf.util.parseAxisParam(dims, [...x.shape]);
    if (axes.length === 0) return backend.tensor(x);
    const every = (value: number) => int64List(axes.map(() => value));
    const operands = [x, every(-1), every(BEFORE_FIRST), int64List(axes), every(-1)];
    return backend.tensor(apply('Slice', operands, x.shape, x.elementType));
  });
}

/** A constant of equal elements: held as one, so that binary kernels can use it as a broadcasting scalar. */
export function fill(shape: readonly number[], value: number, dtype: tf.DataType): Value {
  const type = typeOf(dtype);
  return constant(type, shape, elementsOf(type, [value]));
}

function registerCreation(): void {
  kernel(tf.Fill, (_, { shape, value, dtype }, backend) =>
    backend.tensor(fill(shape, value, dtype ?? tf.util.inferDtype(value))),
  );
  kernel(tf.ZerosLike, (inputs, _, backend) =>
    backend.tensor(fill(input(inputs, 'x').shape, 0, input(inputs, 'x').dtype)),
  );
  kernel(tf.OnesLike, (inputs, _, backend) =>
    backend.tensor(fill(input(inputs, 'x').shape, 1, input(inputs, 'x').dtype)),
  );
  kernel(tf.Range, (_, { start, stop, step, dtype }, backend) => {
    const type = typeOf(dtype);
    const values: number[] = [];
    // TFJS counts down by one where a step of one leads away from the end.
    const by = step === 1 && stop < start ? -1 : step;
    const length = Math.max(0, Math.ceil((stop - start) / by));
    for (let i = 0; i < length; i++) values.push(start + i * by);
    return backend.tensor(constant(type, [length], elementsOf(type, values)));
  });
  kernel(tf.LinSpace, (_, { start, stop, num }, backend) => {
    const step = num > 1 ? (stop - start) / (num - 1) : 0;
    const values = Float32Array.from({ length: num }, (_value, i) => start + i * step);
    return backend.tensor(constant('float32', [num], values));
  });
}

export function registerShapes(): void {
  registerSlices();
  registerJoins();
  registerCreation();
}
