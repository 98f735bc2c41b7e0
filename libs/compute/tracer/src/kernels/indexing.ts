import * as tf from '@tensorflow/tfjs-core';
import { expanded } from '../backend.ts';
import { apply, constant, int64List, scalar, type Value } from '../graph.ts';
import { shapeOperand } from '../symbols.ts';
import { broadcastShape, cast, input, int, kernel, numeric, typeOf } from './kernel.ts';
import { reshape } from './matmul.ts';
import { fill } from './shapes.ts';

/** Rows of `updates` added into zeros at `indices` `[n, 1]`. */
function scatterAdd(shape: readonly number[], indices: Value, updates: Value, dtype: tf.DataType): Value {
  const zeros = expanded(fill(shape, 0, dtype));
  const attributes = { reduction: { string: 'add' } };
  return apply('ScatterND', [zeros, cast(indices, 'int64'), updates], shape, updates.elementType, attributes);
}

export function registerIndexing(): void {
  kernel(tf.GatherV2, (inputs, { axis, batchDims }, backend) => {
    const [x, indices] = [input(inputs, 'x'), input(inputs, 'indices')];
    if (batchDims) throw new Error(`gather with ${batchDims} batch dimensions is not traced`);
    const [along = 0] = tf.util.parseAxisParam(axis, x.shape);
    const shape = [...x.shape.slice(0, along), ...indices.shape, ...x.shape.slice(along + 1)];
    const operands = [backend.operand(x), cast(backend.operand(indices), 'int32')];
    return backend.tensor(apply('Gather', operands, shape, typeOf(x.dtype), { axis: int(along) }));
  });
  kernel(tf.GatherNd, (inputs, _, backend) => {
    const [x, indices] = [input(inputs, 'params'), input(inputs, 'indices')];
    const depth = indices.shape.at(-1) ?? 0;
    const shape = [...indices.shape.slice(0, -1), ...x.shape.slice(depth)];
    const operands = [backend.operand(x), cast(backend.operand(indices), 'int64')];
    return backend.tensor(apply('GatherND', operands, shape, typeOf(x.dtype)));
  });
  kernel(tf.ScatterNd, (inputs, { shape }, backend) => {
    const [indices, updates] = [input(inputs, 'indices'), input(inputs, 'updates')];
    const values = backend.operand(updates);
    return backend.tensor(scatterAdd(shape, backend.operand(indices), numeric(values), updates.dtype));
  });
  kernel(tf.UnsortedSegmentSum, (inputs, { numSegments }, backend) => {
    const [x, ids] = [input(inputs, 'x'), input(inputs, 'segmentIds')];
    const rows = reshape(backend.operand(ids), [...ids.shape, 1]);
    const shape = [numSegments, ...x.shape.slice(ids.shape.length)];
    return backend.tensor(scatterAdd(shape, rows, backend.operand(x), x.dtype));
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
  kernel(tf.TopK, (inputs, { k, sorted }, backend) => {
    const x = numeric(backend.operand(input(inputs, 'x')));
    const shape = [...x.shape.slice(0, -1), k];
    const node = apply('TopK', [x, int64List([k])], shape, x.elementType, {
      axis: int(-1),
      largest: int(1),
      sorted: int(sorted ? 1 : 0),
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
