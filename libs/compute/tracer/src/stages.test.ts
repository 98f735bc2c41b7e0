import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnsupportedError } from '@online-cnclip/foundation';
import * as tf from '@tensorflow/tfjs-core';
import {
  COLLECTIVE_DOMAIN,
  emitNode,
  type Program,
  registerTracerKernel,
  trace,
  traceStages,
} from './index.ts';

// An exchange of its own, so that this test needs none of the packages above.
registerTracerKernel('TestAllReduce', ({ x }, _, backend) =>
  emitNode(backend, {
    op: 'AllReduceSum',
    domain: COLLECTIVE_DOMAIN,
    inputs: [x as tf.TensorInfo],
    outputs: [{ elementType: 'float32', shape: (x as tf.TensorInfo).shape }],
  }),
);
const sumOverReplicas = (x: tf.Tensor) =>
  tf.engine().runKernel<tf.Tensor[]>('TestAllReduce', { x })[0] as tf.Tensor;

/** Names of the nodes of a serialized model: enough of it to see which stage computes what. */
const has = ({ bytes }: { readonly bytes: Uint8Array }, op: string) => Buffer.from(bytes).includes(`${op}_`);

const program = (build: (x: tf.Tensor, w: tf.Tensor) => Record<string, tf.Tensor>): Program => ({
  name: 'staged',
  inputs: [
    { name: 'x', dtype: 'float32', shape: ['n', 4] },
    { name: 'w', dtype: 'float32', shape: [4, 4] },
  ],
  build: ({ x, w }) => build(x as tf.Tensor, w as tf.Tensor),
});

test('a graph is cut at an exchange; what both sides need is held, once', () => {
  const stages = traceStages(
    program((x, w) => {
      const y = tf.exp(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D));
      return { a: tf.mul(sumOverReplicas(tf.sum(y)), y), b: tf.sin(y) };
    }),
  );
  assert.equal(stages.length, 2);
  const [first, second] = stages as [(typeof stages)[0], (typeof stages)[0]];
  assert.ok(has(first, 'MatMul') && has(first, 'Exp') && !has(first, 'Sin'));
  assert.ok(!has(second, 'MatMul') && !has(second, 'Exp') && has(second, 'Sin'));
  assert.deepEqual(first.collectives, [
    { kind: 'all-reduce-sum', input: 'sent:0', output: 'received:0', shape: [] },
  ]);
  assert.equal(first.held.length, 1);
  assert.deepEqual(first.inputNames, ['x', 'w']);
  assert.deepEqual(second.inputNames, ['received:0', ...first.held]);
  assert.deepEqual(second.outputNames, ['a', 'b']);
});

test('what only a later stage needs is computed there, and a view is computed again instead of held', () => {
  const [first, second] = traceStages(
    program((x, w) => {
      const y = tf.exp(x);
      const view = tf.transpose(y);
      const total = sumOverReplicas(tf.sum(tf.matMul(view as tf.Tensor2D, y as tf.Tensor2D)));
      return { a: tf.matMul(tf.mul(tf.cos(w), total) as tf.Tensor2D, view as tf.Tensor2D) };
    }),
  ) as [ReturnType<typeof traceStages>[0], ReturnType<typeof traceStages>[0]];
  assert.ok(!has(first, 'Cos') && has(second, 'Cos'));
  assert.ok(has(second, 'Transpose'));
  assert.equal(first.held.length, 1, 'exp(x), not its transpose');
});

test('exchanges that wait for each other make a stage each, others share one', () => {
  const stages = traceStages(
    program((x, w) => {
      const [one, two] = [sumOverReplicas(tf.sum(x)), sumOverReplicas(tf.sum(w))];
      return { y: tf.mul(sumOverReplicas(tf.mul(one, two)), tf.sum(x)) };
    }),
  );
  assert.deepEqual(
    stages.map(({ collectives }) => collectives.length),
    [2, 1, 0],
  );
});

test('a program without exchanges is one stage, and one with exchanges no single model', () => {
  const plain = program((x) => ({ y: tf.exp(x) }));
  const [only, ...others] = traceStages(plain);
  assert.deepEqual(others, []);
  assert.deepEqual(only?.bytes, trace(plain).bytes);
  assert.throws(() => trace(program((x) => ({ y: sumOverReplicas(x) }))), UnsupportedError);
});
