// What TFJS's own tests leave open: their tolerance is absolute, their integers small, their sizes fixed.
// Reference: JavaScript's numbers, rounded to the kernel's type.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { float32, int32, type NdArray } from '@online-cnclip/foundation';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import * as tf from '@tensorflow/tfjs-core';

const runtime = createOnnxRuntime({ threads: 1 });
after(() => runtime.dispose());

async function compute(inputs: readonly NdArray[], build: (...tensors: tf.Tensor[]) => tf.Tensor) {
  const named = inputs.map((array, i) => [`x${i}`, array] as const);
  const executable = await runtime.prepare({
    name: 'kernel',
    inputs: named.map(([name, { dtype, shape }]) => ({
      name,
      dtype: dtype as 'float32',
      // The first size is known only when the program runs.
      shape: shape.map((size, axis) => (axis === 0 ? 'n' : size)),
    })),
    build: (tensors) => ({ y: build(...named.map(([name]) => tensors[name] as tf.Tensor)) }),
  });
  const { y } = await executable.run(Object.fromEntries(named));
  await executable.dispose();
  return y as NdArray;
}

const floats = (...values: number[]): NdArray => float32([values.length], Float32Array.from(values));
const integers = (...values: number[]): NdArray => int32([values.length], Int32Array.from(values));
const numbers = ({ data }: NdArray): number[] => Array.from(data as Float32Array);

/** Float32's unit in the last place is 1.2e-7; a few roundings on the way. */
const RELATIVE = 1e-6;

function assertRelative(actual: NdArray, expected: readonly number[]): void {
  numbers(actual).forEach((value, i) => {
    const reference = Math.fround(expected[i] as number);
    const same = Object.is(value, reference) || value === reference;
    const close = Math.abs(value - reference) <= RELATIVE * Math.abs(reference);
    assert.ok(same || close, `[${i}]: ${value}, not ${reference}`);
  });
}

const TINY = [0, 1e-30, -1e-30, 1e-8, -1e-8, 3e-5, -3e-5, 1e-3, 0.1, -0.1, 0.9, 3, 20].map(Math.fround);

test('expm1 and log1p keep their digits near zero, and their ends', async () => {
  const ends = [80, 100, Number.POSITIVE_INFINITY, Number.NaN];
  const grown = [...TINY, ...ends, -3, -50, Number.NEGATIVE_INFINITY];
  assertRelative(await compute([floats(...grown)], (x) => tf.expm1(x)), grown.map(Math.expm1));
  const shifted = [...TINY, ...ends, -0.5, -1, -2];
  assertRelative(await compute([floats(...shifted)], (x) => tf.log1p(x)), shifted.map(Math.log1p));
});

test('integers beyond what float32 holds divide exactly', async () => {
  const a = [16_777_217, -16_777_217, 2_147_483_647, 7, -7, 7, -7, 0];
  const b = [1, 1, 2, 2, 2, -2, -2, 5];
  const floored = await compute([integers(...a), integers(...b)], (x, y) => tf.floorDiv(x, y));
  assert.equal(floored.dtype, 'int32');
  assert.deepEqual(
    numbers(floored),
    a.map((value, i) => Math.floor(value / (b[i] as number))),
  );
  const rest = await compute([integers(...a), integers(...b)], (x, y) => tf.mod(x, y));
  assert.deepEqual(numbers(rest), [0, 0, 1, 1, 1, -1, -1, 0]);
});

test('division of integers by zero gives zero, as it does in TFJS, and no fault', async () => {
  const operands = [integers(5, -5, 0), integers(0, 0, 0)];
  assert.deepEqual(numbers(await compute(operands, (x, y) => tf.floorDiv(x, y))), [0, 0, 0]);
  assert.deepEqual(numbers(await compute(operands, (x, y) => tf.mod(x, y))), [0, 0, 0]);
});

test('a batch of none goes through', async () => {
  const empty = float32([0, 6], new Float32Array());
  const build = (x: tf.Tensor) => {
    const wide = tf.reshape(x, [x.shape[0] as number, 2, 3]);
    const product = tf.matMul(wide, tf.ones([3, 4]));
    return tf.softmax(tf.add(product, tf.ones([1, 2, 4])));
  };
  const y = await compute([empty], build);
  assert.deepEqual(y.shape, [0, 2, 4]);
});
