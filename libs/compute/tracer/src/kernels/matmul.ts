import { InvalidInputError } from '@online-cnclip/foundation';
import * as tf from '@tensorflow/tfjs-core';
import { apply, type Value } from '../graph.ts';
import { reshape } from '../reshape.ts';
import { broadcastShape, input, int, ints, kernel } from './kernel.ts';

export function transpose(value: Value, permutation: readonly number[]): Value {
  const shape = permutation.map((axis) => value.shape[axis] as number);
  return apply('Transpose', [value], shape, value.elementType, { perm: ints(permutation) });
}

function swapLastTwo(value: Value): Value {
  const rank = value.shape.length;
  const leading = [...Array(rank - 2).keys()];
  return transpose(value, [...leading, rank - 1, rank - 2]);
}

/** y = a b, with either side transposed first; `[..., m, k] x [..., k, n]`. Plain matrices become one Gemm. */
export function matMul(a: Value, b: Value, transposeA: boolean, transposeB: boolean): Value {
  const rank = Math.max(a.shape.length, b.shape.length);
  const [rowsA = 1, columnsA = 1] = a.shape.slice(-2);
  const [rowsB = 1, columnsB = 1] = b.shape.slice(-2);
  const [innerA, innerB] = [transposeA ? rowsA : columnsA, transposeB ? columnsB : rowsB];
  if (Math.min(a.shape.length, b.shape.length) < 2 || innerA !== innerB)
    throw new InvalidInputError(`matrices [${a.shape}] and [${b.shape}] do not fit together`);
  const [m, n] = [transposeA ? columnsA : rowsA, transposeB ? rowsB : columnsB];
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const isMatrix = batch.every((size) => size === 1) && a.elementType === 'float32';
  if (isMatrix && (transposeA || transposeB)) {
    const attributes = { transA: int(transposeA ? 1 : 0), transB: int(transposeB ? 1 : 0) };
    const [left, right] = [reshape(a, [rowsA, columnsA]), reshape(b, [rowsB, columnsB])];
    const product = apply('Gemm', [left, right], [m, n], 'float32', attributes);
    return rank === 2 ? product : reshape(product, [...batch, m, n]);
  }
  const left = transposeA ? swapLastTwo(a) : a;
  const right = transposeB ? swapLastTwo(b) : b;
  return apply('MatMul', [left, right], [...batch, m, n], a.elementType);
}

export function registerMatMul(): void {
  kernel(tf.BatchMatMul, (inputs, { transposeA, transposeB }, backend) => {
    const [a, b] = [backend.operand(input(inputs, 'a')), backend.operand(input(inputs, 'b'))];
    return backend.tensor(matMul(a, b, transposeA, transposeB));
  });
  kernel(tf.Transpose, (inputs, { perm }, backend) =>
    backend.tensor(transpose(backend.operand(input(inputs, 'x')), perm)),
  );
  kernel(tf.Reshape, (inputs, { shape }, backend) => {
    const x = input(inputs, 'x');
    const target = tf.util.inferFromImplicitShape(shape, tf.util.sizeFromShape(x.shape));
    const value = backend.value(x);
    if (value.producer.kind === 'constant' && value.producer.externalName === undefined)
      return backend.tensor({ ...value, shape: target }, x.dtype);
    return backend.tensor(reshape(value, target));
  });
  kernel(tf.ExpandDims, (inputs, { dim }, backend) => {
    const x = input(inputs, 'input');
    const rank = x.shape.length;
    tf.util.assert(dim >= -rank - 1 && dim <= rank, () => `axis ${dim} of a new dimension for [${x.shape}]`);
    const shape = [...x.shape];
    shape.splice(dim < 0 ? dim + rank + 1 : dim, 0, 1);
    return backend.tensor(reshape(backend.operand(x), shape));
  });
}
