import * as tf from '@tensorflow/tfjs-core';
import { apply, int64List, scalar, type Value } from '../graph.ts';
import { cast, input, int, kernel, numeric, withoutNaN } from './kernel.ts';

function reducedShape(shape: readonly number[], axes: readonly number[], keepDims: boolean): number[] {
  return keepDims
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));
}

export function reduce(op: string, x: Value, axes: readonly number[], keepDims: boolean): Value {
  if (axes.length === 0) return x;
  const shape = reducedShape(x.shape, axes, keepDims);
  return apply(op, [x, int64List(axes)], shape, x.elementType, { keepdims: int(keepDims ? 1 : 0) });
}

/** TFJS's extremes are NaN as soon as one element is; ONNX leaves that open and onnxruntime skips NaN. */
function extreme(name: string, op: string): void {
  kernel(name, (inputs, { reductionIndices, axis, keepDims }, backend) => {
    const x = input(inputs, 'x');
    const axes = tf.util.parseAxisParam(reductionIndices ?? axis, x.shape);
    const value = numeric(backend.operand(x));
    const result = reduce(op, value, axes, keepDims ?? false);
    if (value.elementType !== 'float32') return backend.tensor(result);
    const flags = cast(apply('IsNaN', [value], value.shape, 'bool'), 'float32');
    const anyNaN = cast(reduce('ReduceMax', flags, axes, keepDims ?? false), 'bool');
    const operands = [anyNaN, scalar('float32', Number.NaN), result];
    return backend.tensor(apply('Where', operands, result.shape, 'float32'));
  });
}

function reduction(
  name: string,
  op: string,
  prepare: (x: Value) => Value,
  finish: (x: Value) => Value,
): void {
  kernel(name, (inputs, { axis, keepDims }, backend) => {
    const x = input(inputs, 'x');
    const axes = tf.util.parseAxisParam(axis, x.shape);
    return backend.tensor(finish(reduce(op, prepare(backend.operand(x)), axes, keepDims ?? false)));
  });
}

const asIs = (x: Value): Value => x;
const toInt32 = (x: Value): Value => cast(x, 'int32');
const toBool = (x: Value): Value => cast(x, 'bool');

/** The index of the first extreme element; NaN never is one. */
function argument(name: string, op: string, worst: number): void {
  kernel(name, (inputs, { axis }, backend) => {
    const x = input(inputs, 'x');
    const [along = 0] = tf.util.parseAxisParam(axis, x.shape);
    const given = numeric(backend.operand(x));
    const value = given.elementType === 'float32' ? withoutNaN(given, worst) : given;
    const shape = reducedShape(x.shape, [along], false);
    const index = apply(op, [value], shape, 'int64', { axis: int(along), keepdims: int(0) });
    return backend.tensor(cast(index, 'int32'));
  });
}

export function registerReductions(): void {
  reduction(tf.Sum, 'ReduceSum', numeric, asIs);
  reduction(tf.Mean, 'ReduceMean', (x) => cast(x, 'float32'), asIs);
  extreme(tf.Max, 'ReduceMax');
  extreme(tf.Min, 'ReduceMin');
  reduction(tf.Prod, 'ReduceProd', numeric, asIs);
  reduction(tf.All, 'ReduceMin', toInt32, toBool);
  reduction(tf.Any, 'ReduceMax', toInt32, toBool);
  argument(tf.ArgMax, 'ArgMax', -Infinity);
  argument(tf.ArgMin, 'ArgMin', Infinity);
  kernel(tf.Cumsum, (inputs, { axis, exclusive, reverse }, backend) => {
    const x = numeric(backend.operand(input(inputs, 'x')));
    const along = int64List([axis]);
    const flags = { exclusive: int(exclusive ? 1 : 0), reverse: int(reverse ? 1 : 0) };
    const scalarAxis = { ...along, shape: [] };
    return backend.tensor(apply('CumSum', [x, scalarAxis], x.shape, x.elementType, flags));
  });
  kernel(tf.Softmax, (inputs, { dim }, backend) => {
    const logits = cast(backend.operand(input(inputs, 'logits')), 'float32');
    return backend.tensor(apply('Softmax', [logits], logits.shape, 'float32', { axis: int(dim) }));
  });
  kernel(tf.LogSoftmax, (inputs, { axis }, backend) => {
    const logits = cast(backend.operand(input(inputs, 'logits')), 'float32');
    return backend.tensor(apply('LogSoftmax', [logits], logits.shape, 'float32', { axis: int(axis) }));
  });
}
