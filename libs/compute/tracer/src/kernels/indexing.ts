import * as tf from '@tensorflow/tfjs-core';
import { expanded } from '../backend.ts';
import { apply, constant, int64List, scalar, type Value } from '../graph.ts';
import { reshape } from '../reshape.ts';
import { shapeOperand } from '../symbols.ts';
import { broadcastShape, cast, input, int, kernel, numeric, typeOf } from './kernel.ts';
import { transpose } from './matmul.ts';
import { fill } from './shapes.ts';

/** Rows of `updates` added into zeros at `indices` `[n, 1]`. */
function scatterAdd(shape: readonly number[], indices: Value, updates: Value, dtype: tf.DataType): Value {
  const zeros = expanded(fill(shape, 0, dtype));
  const attributes = { reduction: { string: 'add' } };
  return apply('ScatterND', [zeros, cast(indices, 'int64'), updates], shape, updates.elementType, attributes);
}

/** Rows whose segment is negative belong to none: they are added as zeros. */
function withoutNegative(segments: Value, x: Value): Value {
  const inner = Array<number>(x.shape.length - segments.shape.length).fill(1);
  const isNegative = apply('Less', [segments, scalar('int32', 0)], segments.shape, 'bool');
  const operands = [reshape(isNegative, [...segments.shape, ...inner]), scalar(x.elementType, 0), x];
  return apply('Where', operands, x.shape, x.elementType);
}

type GatherInfo = tf.backend_util.segment_util.GatherOpShapeInfo;

/** x as `[batch, outer, size, inner]`, indices as `[batch, n]` -> `[batch, outer, n, inner]`, then the output's shape. */
function batchGather(x: Value, indices: Value, info: GatherInfo): Value {
  const { batchSize, outerSize, dimSize, sliceSize, outputShape } = info;
  const n = tf.util.sizeFromShape([...indices.shape]) / batchSize;
  const rows = transpose(reshape(x, [batchSize, outerSize, dimSize, sliceSize]), [0, 2, 1, 3]);
  const operands = [rows, cast(reshape(indices, [batchSize, n, 1]), 'int64')];
  const shape = [batchSize, n, outerSize, sliceSize];
  const gathered = apply('GatherND', operands, shape, x.elementType, { batch_dims: int(1) });
  return reshape(transpose(gathered, [0, 2, 1, 3]), outputShape);
}

export function registerIndexing(): void {
  kernel(tf.GatherV2, (inputs, { axis, batchDims }, backend) => {
    const [x, indices] = [input(inputs, 'x'), input(inputs, 'indices')];
    const [along = 0] = tf.util.parseAxisParam(axis, x.shape);
    const info = tf.backend_util.segment_util.collectGatherOpShapeInfo(x, indices, along, batchDims ?? 0);
    const operands = [backend.operand(x), cast(backend.operand(indices), 'int32')] as const;
    if (batchDims) return backend.tensor(batchGather(...operands, info));
    return backend.tensor(apply('Gather', operands, info.outputShape, typeOf(x.dtype), { axis: int(along) }));
  });
  kernel(tf.GatherNd, (inputs, _, backend) => {
    const [x, indices] = [input(inputs, 'params'), input(inputs, 'indices')];
    const [shape] = tf.backend_util.prepareAndValidate(x, indices);
    const operands = [backend.operand(x), cast(backend.operand(indices), 'int64')];
    return backend.tensor(apply('GatherND', operands, shape, typeOf(x.dtype)));
  });
  kernel(tf.ScatterNd, (inputs, { shape }, backend) => {
    const [indices, updates] = [input(inputs, 'indices'), input(inputs, 'updates')];
    const value = backend.operand(indices);
    // One dimension of indices stands for a list of single ones.
    const rows = indices.shape.length === 1 ? reshape(value, [...indices.shape, 1]) : value;
    return backend.tensor(scatterAdd(shape, rows, numeric(backend.operand(updates)), updates.dtype));
  });
  kernel(tf.UnsortedSegmentSum, (inputs, { numSegments }, backend) => {
    const [x, ids] = [input(inputs, 'x'), input(inputs, 'segmentIds')];
    const segments = cast(backend.operand(ids), 'int32');
    const updates = withoutNegative(segments, numeric(backend.operand(x)));
    const positive = apply('Max', [segments, scalar('int32', 0)], ids.shape, 'int32');
    const shape = [numSegments, ...x.shape.slice(ids.shape.length)];
    return backend.tensor(scatterAdd(shape, reshape(positive, [...ids.shape, 1]), updates, x.dtype));
  });
  kernel(tf.OneHot, (inputs, { depth, onValue, offValue, dtype }, backend) => {
    const indices = input(inputs, 'indices');
    const type = typeOf(dtype ?? 'int32');
    const range = constant(
      'int32',
      [depth],
      Int32Array.from({ length: depth }, (_, i) => i),
    );
    const rows = reshape(cast(backend.operand(indices), 'int32'), [...indices.shape, 1]);
    const shape = [...indices.shape, depth];
    const hit = apply('Equal', [rows, range], shape, 'bool');
    return backend.tensor(apply('Where', [hit, scalar(type, onValue), scalar(type, offValue)], shape, type));
  });
  kernel(tf.Select, (inputs, _, backend) => {
    const [condition, t, e] = [input(inputs, 'condition'), input(inputs, 't'), input(inputs, 'e')];
    const mask = cast(backend.operand(condition), 'bool');
    const missing = t.shape.length - mask.shape.length;
    // A condition of lower rank selects whole rows (leading dimensions), not trailing ones as ONNX broadcasts.
    const aligned =
      missing > 0 && mask.shape.length > 0 ? reshape(mask, [...mask.shape, ...Array(missing).fill(1)]) : mask;
    const shape = broadcastShape(aligned.shape, broadcastShape(t.shape, e.shape));
    return backend.tensor(
      apply('Where', [aligned, backend.operand(t), backend.operand(e)], shape, typeOf(t.dtype)),
    );
  });
  kernel(tf.TopK, (inputs, { k }, backend) => {
    const x = numeric(backend.operand(input(inputs, 'x')));
    const shape = [...x.shape.slice(0, -1), k];
    const node = apply('TopK', [x, int64List([k])], shape, x.elementType, {
      axis: int(-1),
      largest: int(1),
      // Sorted in any case: among equal elements the first ones are taken, as TFJS has it.
      sorted: int(1),
    });
    const { producer } = node;
    if (producer.kind !== 'node') throw new Error('TopK was not recorded');
    const indices: Value = { elementType: 'int64', shape, producer };
    producer.outputs.push(indices);
    return [backend.tensor(node), backend.tensor(cast(indices, 'int32'))];
  });
  kernel(tf.BroadcastTo, (inputs, { shape }, backend) => {
    const x = backend.operand(input(inputs, 'x'));
    return backend.tensor(apply('Expand', [x, shapeOperand(shape)], shape, x.elementType));
  });
}
