import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { apply, collectGraph, graphInput, type Value } from './graph.ts';
import { withHalfProducts } from './half-precision.ts';
import { type Program, trace } from './index.ts';

const opsOf = (inputs: readonly Value[], y: Value) =>
  collectGraph('half', inputs, withHalfProducts([['y', y]]), (shape) => shape).message.nodes.map(
    ({ op }) => op,
  );

test('products take and give half precision, a shared operand is cast once, all else is as it was', () => {
  const x = graphInput('x', 'float32', [2, 2]);
  const square = apply('MatMul', [x, x], [2, 2], 'float32');
  const y = apply('Exp', [apply('Add', [square, x], [2, 2], 'float32')], [2, 2], 'float32');
  assert.deepEqual(opsOf([x], y), ['Cast', 'Reshape', 'MatMul', 'Reshape', 'Cast', 'Add', 'Exp']);
});

test('operands of other types are left alone; a graph without products does not change', () => {
  const x = graphInput('x', 'int32', [2, 2]);
  const product = apply('MatMul', [x, x], [2, 2], 'int32');
  assert.ok(!opsOf([x], apply('Neg', [x], [2, 2], 'int32')).includes('Cast'));
  assert.equal(product.elementType, 'int32');
});

test('the mode is the program’s, which is built the same either way', () => {
  let built = 0;
  const program: Program = {
    name: 'product',
    inputs: [{ name: 'x', dtype: 'float32', shape: [2, 2] }],
    build: ({ x }) => {
      built++;
      return { y: tf.matMul(x as tf.Tensor2D, x as tf.Tensor2D) };
    },
  };
  const [single, half] = [trace(program), trace({ ...program, precision: 'half' })];
  assert.equal(built, 2);
  assert.deepEqual(trace({ ...program, precision: 'single' }).bytes, single.bytes);
  assert.equal(half.nodeCount, single.nodeCount + 4);
});
