import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float32, UnsupportedError } from '@online-cnclip/foundation';
import * as tf from '@tensorflow/tfjs-core';
import { type Program, type TensorSpec, TRACER_BACKEND, trace } from './index.ts';

const x = (...shape: (number | string)[]): TensorSpec => ({ name: 'x', dtype: 'float32', shape });
const program = (
  name: string,
  inputs: readonly TensorSpec[],
  build: (x: tf.Tensor) => tf.Tensor,
): Program => ({ name, inputs, build: (tensors) => ({ y: build(tensors['x'] as tf.Tensor) }) });

test('a program becomes a model with its inputs, outputs and constants', () => {
  const weights = float32([2, 3], new Float32Array(6));
  const model = trace({
    name: 'linear',
    inputs: [x('batch', 2)],
    constants: new Map([['w', weights]]),
    build: ({ x, w }) => ({ y: tf.relu(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D)) }),
  });
  assert.deepEqual(model.outputNames, ['y']);
  assert.deepEqual([...model.external], [['w', weights.data]]);
  assert.equal(model.nodeCount, 2, 'MatMul, Max');
  assert.ok(Buffer.from(model.bytes).includes('batch'));
});

test('tracing is repeatable and leaves no tensors behind', () => {
  const one = program('norm', [x('n', 4)], (value) => tf.softmax(tf.mul(value, 2)));
  const before = tf.engine().memory().numTensors;
  assert.deepEqual(trace(one).bytes, trace(one).bytes);
  assert.equal(tf.engine().memory().numTensors, before);
});

test('a gradient is traced through TFJS, the forward pass only as far as it needs it', () => {
  const curious = tf.customGrad((value, save) => {
    (save as (tensors: tf.Tensor[]) => void)([value as tf.Tensor]);
    return {
      value: tf.exp(value as tf.Tensor),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, tf.square(saved[0] as tf.Tensor)),
    };
  });
  const model = trace(
    program('gradient', [x('n', 3)], (value) => tf.grad((v) => curious(v as tf.Tensor))(value)),
  );
  const text = Buffer.from(model.bytes).toString('latin1');
  assert.match(text, /Mul_\d/);
  assert.doesNotMatch(text, /Exp_\d/);
});

test('a symbolic size that becomes part of a constant is refused, with its place', () => {
  const leaks = program('mean', [x('n', 2)], (value) => tf.div(value, value.shape[0] as number));
  assert.throws(() => trace(leaks), {
    name: 'UnsupportedError',
    message: /^mean: a symbolic size became part of a constant \(operand of Div_0/,
  });
  const sliced = program('first half', [x('n', 2)], (value) =>
    tf.slice(value, [0, 0], [Math.floor((value.shape[0] as number) / 2), 2]),
  );
  assert.throws(() => trace(sliced), /first half: a symbolic size became part of a constant/);
});

test('reading a value is refused', () => {
  const reads = program('read', [x(2)], (value) => tf.mul(value, value.dataSync()[0] as number));
  assert.throws(
    () => trace(reads),
    (error) => error instanceof UnsupportedError && /no values/.test(error.message),
  );
});

test('a kernel that the tracer lacks is named', () => {
  const resize = program('resize', [x(1, 2, 2, 3)], (value) =>
    tf.image.resizeBilinear(value as tf.Tensor4D, [4, 4]),
  );
  assert.throws(() => trace(resize), {
    name: 'UnsupportedError',
    message: 'resize: kernel ResizeBilinear cannot be traced',
  });
});

test('tensors of types that ONNX does not compute with are refused', () => {
  const strings = program('strings', [x(1)], () => tf.tensor1d(['a']));
  assert.throws(() => trace(strings), /tensors of type string cannot be traced/);
  const filled = program('filled', [x(1)], () => tf.fill([2], 'a', 'string'));
  assert.throws(() => trace(filled), /tensors of type string cannot be traced/);
});

test('tensors from another trace or backend are refused', () => {
  let leaked: tf.Tensor | undefined;
  trace(
    program('leaking', [x(2)], (value) => {
      leaked = tf.neg(value);
      return leaked;
    }),
  );
  const uses = program('using', [x(2)], (value) => tf.add(value, leaked as tf.Tensor));
  assert.throws(() => trace(uses), /a tensor from outside the trace was used/);
});

test('more symbols than there are primes, and constants that are not float32, are refused', () => {
  const many = program('many', [x('a', 'b', 'c', 'd', 'e')], (value) => value);
  assert.throws(() => trace(many), /many: has too many symbolic sizes/);
  const typed: Program = {
    ...program('typed', [x(1)], (value) => value),
    constants: new Map([['ids', { dtype: 'int32', shape: [1], data: Int32Array.of(1) }]]),
  };
  assert.throws(() => trace(typed), /typed: constant "ids" is int32, not float32/);
});

test('the backend of the caller is put back, after an error too', () => {
  tf.registerBackend(
    'fake',
    () =>
      new (class extends tf.KernelBackend {
        override memory = () => ({ unreliable: true });
        override dispose = () => {};
      })(),
  );
  void tf.setBackend('fake');
  trace(program('fine', [x(2)], (value) => tf.neg(value)));
  assert.equal(tf.getBackend(), 'fake');
  const failing = program('failing', [x(2)], () => {
    assert.equal(tf.getBackend(), TRACER_BACKEND);
    throw new Error('mine');
  });
  assert.throws(() => trace(failing), /^Error: mine$/);
  assert.equal(tf.getBackend(), 'fake');
  tf.removeBackend('fake');
});
