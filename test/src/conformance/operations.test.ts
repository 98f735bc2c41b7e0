// Reference: the same program on TFJS's CPU backend, where our fused operations are composed of TFJS's own.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { float32, int32, type NdArray, sizeOf } from '@online-cnclip/foundation';
import {
  activatedLinear,
  attention,
  dropout,
  firstToken,
  gelu,
  layerNorm,
  linear,
  normalizedLinear,
  positionsOf,
  quickGelu,
} from '@online-cnclip/operations';
import { createOnnxRuntime, type Program, type TensorSpec } from '@online-cnclip/runtime';
import * as tf from '@tensorflow/tfjs-core';
import { relativeError } from '../parity/case.ts';
import { runEagerly } from './eager.ts';
import {
  plainAttention,
  plainGelu,
  plainLayerNorm,
  plainLinear,
  plainQuickGelu,
} from './plain-operations.ts';
import { normals, seeded } from './random.ts';

const TOLERANCE = 1e-5;

const runtime = createOnnxRuntime({ threads: 1 });
after(() => runtime.dispose());

const [BATCH, LENGTH, WIDTH, OUT, HEADS] = [3, 5, 8, 6, 2];
const SIZES: Readonly<Record<string, number>> = { batch: BATCH, length: LENGTH };

type Tensors = Record<
  'x' | 'gamma' | 'beta' | 'weight' | 'bias' | 'q' | 'k' | 'v' | 'keyMask' | 'keep',
  tf.Tensor
>;
type Build = (tensors: Tensors) => tf.Tensor;

interface Operation {
  readonly name: string;
  /** Float inputs, which the gradient is taken by; names are sizes that only the run knows. */
  readonly by: Readonly<Record<string, TensorSpec['shape']>>;
  readonly keyMask?: true;
  readonly keep?: TensorSpec['shape'];
  readonly ours: Build;
  /** The same in plain operations of TFJS, with TFJS's gradient. */
  readonly plain: Build;
}

const rows = ['batch', 'length', WIDTH] as const;
const norm = { gamma: [WIDTH], beta: [WIDTH] } as const;
const affine = { weight: [OUT, WIDTH], bias: [OUT] } as const;
const qkv = { q: rows, k: rows, v: rows } as const;
const operation = (
  name: string,
  by: Operation['by'],
  ours: Build,
  plain: Build,
  rest: Pick<Operation, 'keyMask' | 'keep'> = {},
): Operation => ({ name, by, ours, plain, ...rest });

const RATE = 0.25;
const heads = { heads: HEADS };
const scores = [BATCH, HEADS, 'length', 'length'] as const;
const attended = {
  q: [BATCH, 'length', WIDTH],
  k: [BATCH, 'length', WIDTH],
  v: [BATCH, 'length', WIDTH],
} as const;

const dropHead = (keep: tf.Tensor) => (probabilities: tf.Tensor, head: number) =>
  dropout(probabilities, tf.squeeze(tf.slice(keep, [0, head, 0, 0], [-1, 1, -1, -1]), [1]), RATE);

const OPERATIONS: readonly Operation[] = [
  ...[1e-5, 1e-12].map((epsilon) =>
    operation(
      `layerNorm, epsilon ${epsilon}`,
      { x: rows, ...norm },
      ({ x, gamma, beta }) => layerNorm(x, gamma, beta, epsilon),
      ({ x, gamma, beta }) => plainLayerNorm(x, gamma, beta, epsilon),
    ),
  ),
  operation(
    'gelu',
    { x: rows },
    ({ x }) => gelu(x),
    ({ x }) => plainGelu(x),
  ),
  operation(
    'quickGelu',
    { x: rows },
    ({ x }) => quickGelu(x),
    ({ x }) => plainQuickGelu(x),
  ),
  operation(
    'linear',
    { x: rows, ...affine },
    ({ x, weight, bias }) => linear(x, weight, bias),
    ({ x, weight, bias }) => plainLinear(x, weight, bias),
  ),
  operation(
    'linear without bias',
    { x: rows, weight: [OUT, WIDTH] },
    ({ x, weight }) => linear(x, weight, null),
    ({ x, weight }) => plainLinear(x, weight, null),
  ),
  operation(
    'activatedLinear, gelu',
    { x: rows, ...affine },
    ({ x, weight, bias }) => activatedLinear('gelu', x, weight, bias),
    ({ x, weight, bias }) => plainLinear(plainGelu(x), weight, bias),
  ),
  operation(
    'activatedLinear, quick-gelu',
    { x: rows, ...affine },
    ({ x, weight, bias }) => activatedLinear('quick-gelu', x, weight, bias),
    ({ x, weight, bias }) => plainLinear(plainQuickGelu(x), weight, bias),
  ),
  operation(
    'normalizedLinear',
    { x: rows, ...norm, ...affine },
    ({ x, gamma, beta, weight, bias }) => normalizedLinear(x, { gamma, beta, epsilon: 1e-5 }, weight, bias),
    ({ x, gamma, beta, weight, bias }) => plainLinear(plainLayerNorm(x, gamma, beta, 1e-5), weight, bias),
  ),
  operation(
    'attention',
    qkv,
    ({ q, k, v }) => attention(q, k, v, heads),
    ({ q, k, v }) => plainAttention([q, k, v], HEADS),
  ),
  operation(
    'attention with a mask',
    qkv,
    ({ q, k, v, keyMask }) => attention(q, k, v, { ...heads, keyMask }),
    ({ q, k, v, keyMask }) => plainAttention([q, k, v], HEADS, keyMask),
    { keyMask: true },
  ),
  operation(
    'attention with a mask computed on the way',
    qkv,
    ({ q, k, v, keyMask }) =>
      attention(q, k, v, { ...heads, keyMask: tf.cast(tf.notEqual(keyMask, 0), 'int32') }),
    ({ q, k, v, keyMask }) => plainAttention([q, k, v], HEADS, keyMask),
    { keyMask: true },
  ),
  operation(
    'attention with dropout',
    attended,
    ({ q, k, v, keep }) => attention(q, k, v, { ...heads, dropout: { keep, rate: RATE } }),
    ({ q, k, v, keep }) => plainAttention([q, k, v], HEADS, undefined, dropHead(keep)),
    { keep: scores },
  ),
  operation(
    'attention with a mask and dropout',
    attended,
    ({ q, k, v, keyMask, keep }) => attention(q, k, v, { ...heads, keyMask, dropout: { keep, rate: RATE } }),
    ({ q, k, v, keyMask, keep }) => plainAttention([q, k, v], HEADS, keyMask, dropHead(keep)),
    { keyMask: true, keep: scores },
  ),
  operation(
    'dropout',
    { x: rows },
    ({ x, keep }) => dropout(x, keep, RATE),
    ({ x, keep }) => tf.where(tf.cast(keep, 'bool'), tf.div(x, 1 - RATE), tf.zerosLike(x)),
    { keep: rows },
  ),
  operation(
    'firstToken',
    { x: rows },
    ({ x }) => firstToken(x),
    ({ x }) => tf.gather(x, 0, 1),
  ),
  operation(
    'positionsOf',
    { x: rows },
    ({ x }) => tf.mul(x, tf.reshape(tf.cast(positionsOf(x), 'float32'), [1, -1, 1])),
    ({ x }) => tf.mul(x, tf.reshape(tf.range(0, LENGTH), [1, -1, 1])),
  ),
];

/** The operation's value and, weighted by random numbers, its gradient by every float input. */
function programOf({ name, by, keyMask, keep }: Operation, build: Build): Program {
  const names = Object.keys(by);
  const inputs: TensorSpec[] = names.map((input) => ({
    name: input,
    dtype: 'float32',
    shape: by[input] ?? [],
  }));
  const batch = by['q']?.[0] ?? 'batch';
  if (keyMask) inputs.push({ name: 'keyMask', dtype: 'int32', shape: [batch, 'length'] });
  if (keep) inputs.push({ name: 'keep', dtype: 'bool', shape: keep });
  return {
    name,
    inputs,
    build(tensors) {
      const values = names.map((input) => tensors[input] as tf.Tensor);
      const run = (...args: tf.Tensor[]) =>
        build({
          ...(tensors as Tensors),
          ...Object.fromEntries(names.map((input, i) => [input, args[i] as tf.Tensor])),
        });
      // A gradient that is not the same everywhere, and whose sum is a scalar whatever the operation's shape is.
      const weighted = (...args: tf.Tensor[]) => {
        const y = run(...args);
        return tf.sum(tf.mul(y, tf.cos(y)));
      };
      const gradients = tf.grads(weighted)(values);
      const named = names.map((input, i) => [`gradient:${input}`, gradients[i] as tf.Tensor]);
      return { y: run(...values), ...Object.fromEntries(named) };
    },
  };
}

function inputsOf({ inputs }: Program): Record<string, NdArray> {
  const random = seeded(7);
  return Object.fromEntries(
    inputs.map(({ name, dtype, shape }) => {
      const sizes = shape.map((size) => (typeof size === 'string' ? (SIZES[size] as number) : size));
      const values = normals(random, sizeOf(sizes));
      if (dtype === 'bool')
        return [name, { dtype, shape: sizes, data: Uint8Array.from(values, (v) => (v > -0.6 ? 1 : 0)) }];
      // The first key is always there, as [CLS] is; the last sequence is not padded at all.
      const attendedTo = (_: number, i: number) => (i % LENGTH <= Math.floor(i / LENGTH) * 2 ? 1 : 0);
      if (dtype === 'int32') return [name, int32(sizes, Int32Array.from(values, attendedTo))];
      return [name, float32(sizes, values)];
    }),
  );
}

type Arrays = Readonly<Record<string, NdArray>>;

function assertClose(actual: Arrays, expected: Arrays): void {
  assert.deepEqual(Object.keys(actual), Object.keys(expected));
  for (const [name, reference] of Object.entries(expected)) {
    assert.deepEqual(actual[name]?.shape, reference.shape, name);
    const error = relativeError(actual[name], reference);
    assert.ok(error <= TOLERANCE, `${name}: ${error}`);
  }
}

for (const each of OPERATIONS)
  test(`${each.name}: value and gradients`, async (t) => {
    const program = programOf(each, each.ours);
    const inputs = inputsOf(program);
    const composed = await runEagerly(program, inputs);
    await t.test('fused on onnxruntime as composed on the CPU', async () => {
      const executable = await runtime.prepare(program);
      const fused = await executable.run(inputs);
      await executable.dispose();
      assertClose(fused, composed);
    });
    await t.test("as TFJS's own operations have them", async () => {
      assertClose(composed, await runEagerly(programOf(each, each.plain), inputs));
    });
  });
