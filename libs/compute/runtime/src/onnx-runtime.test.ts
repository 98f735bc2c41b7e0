import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { after, test } from 'node:test';
import { float32, InvalidInputError, int32, type NdArray, UnsupportedError } from '@online-cnclip/foundation';
import { add, matMul, mul, relu, softmax, sum, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { createOnnxRuntime, type Program, sharedZeros } from './index.ts';
import { withoutRest } from './shared-memory.ts';

const runtime = createOnnxRuntime({ threads: 1 });
after(() => runtime.dispose());

const at = (tensors: Readonly<Record<string, Tensor>>, name: string): Tensor => tensors[name] as Tensor;

test('a program with a symbolic size serves every size, with its constants bound', async () => {
  const program: Program = {
    name: 'linear',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', 2] }],
    constants: new Map([['w', float32([2, 3], Float32Array.of(1, 2, 3, 4, 5, 6))]]),
    build: (tensors) => ({ y: relu(matMul(at(tensors, 'x') as Tensor2D, at(tensors, 'w') as Tensor2D)) }),
  };
  const executable = await runtime.prepare(program);
  for (const batch of [1, 3, 53]) {
    const x = Float32Array.from({ length: batch * 2 }, (_, i) => i - 2);
    const { y } = await executable.run({ x: float32([batch, 2], x) });
    assert.deepEqual(y?.shape, [batch, 3]);
    const expected = Array.from({ length: batch * 3 }, (_, i) => {
      const [row, column] = [Math.floor(i / 3), i % 3];
      return Math.max(0, (x[row * 2] as number) * (column + 1) + (x[row * 2 + 1] as number) * (column + 4));
    });
    assert.deepEqual([...((y as NdArray).data as Float32Array)], expected);
  }
  await executable.dispose();
  await assert.rejects(executable.run({ x: float32([1, 2], new Float32Array(2)) }), /disposed/);
});

test('its threads step back behind the others, and nobody else does', {
  skip: process.platform !== 'linux',
}, async () => {
  const usual = getPriority();
  const polite = createOnnxRuntime({ threads: 2, niceness: 7 });
  const program: Program = {
    name: 'sum',
    inputs: [{ name: 'a', dtype: 'float32', shape: [2] }],
    build: ({ a }) => ({ sum: sum(a as Tensor) }),
  };
  await (await polite.prepare(program)).run({ a: float32([2], Float32Array.of(1, 2)) });
  assert.equal(niceness(process.pid), usual);
  // The thread itself, and the second one that onnxruntime computes with.
  const stepBack = readdirSync('/proc/self/task').filter((id) => niceness(Number(id)) === usual + 7);
  assert.equal(stepBack.length, 2);
  await polite.dispose();
});

/** Of a thread of this process: proc_pid_stat(5), field 19. */
function niceness(thread: number): number {
  const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
}

test('an output given in shared memory is written in place, even over an input', async () => {
  const program: Program = {
    name: 'decay',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['n'] }],
    build: (tensors) => ({ y: mul(at(tensors, 'x'), 0.5) }),
  };
  const executable = await runtime.prepare(program);
  const x = sharedZeros([4]);
  x.data.set([2, 4, 6, 8]);
  const { y } = await executable.run({ x }, { y: x });
  assert.equal(y, x);
  await executable.run({ x }, { y: x });
  assert.deepEqual([...x.data], [0.5, 1, 1.5, 2]);
});

test('of a view its own elements are sent to the compute thread, not all that it is a view of', () => {
  const all = new Float32Array(1000);
  const view = withoutRest(float32([2], all.subarray(7, 9)));
  assert.equal(view.data.buffer.byteLength, 8);
  const [whole, shared] = [float32([1000], all), sharedZeros([4])];
  assert.equal(withoutRest(whole), whole);
  const part = { ...shared, shape: [2], data: shared.data.subarray(1, 3) };
  assert.equal(withoutRest(part), part);
});

test('a size that leaks into a constant is refused', async () => {
  const program: Program = {
    name: 'leak',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['n'] }],
    build: (tensors) => ({ y: mul(at(tensors, 'x'), 1 / (at(tensors, 'x').shape[0] as number)) }),
  };
  await assert.rejects(runtime.prepare(program), /leak: a symbolic size became part of a constant/);
});

test('inputs of another type, shape or length are refused by name', async () => {
  const program: Program = {
    name: 'two',
    inputs: [
      { name: 'a', dtype: 'float32', shape: [2] },
      { name: 'b', dtype: 'float32', shape: [2] },
    ],
    build: (tensors) => ({ y: add(at(tensors, 'a'), at(tensors, 'b')) }),
  };
  const executable = await runtime.prepare(program);
  const a = float32([2], new Float32Array(2));
  await assert.rejects(executable.run({ a }), {
    name: 'InvalidInputError',
    message: /two: input "b": is missing/,
  });
  await assert.rejects(executable.run({ a, b: int32([2], new Int32Array(2)) }), InvalidInputError);
  await assert.rejects(executable.run({ a, b: float32([3], new Float32Array(3)) }), /\[3\] given/);
  await assert.rejects(
    executable.run({ a, b: { ...a, data: new Float32Array(1) } }),
    /1 values for the shape/,
  );
});

test('the event loop stays free while a graph runs', async () => {
  const program: Program = {
    name: 'busy',
    inputs: [{ name: 'x', dtype: 'float32', shape: [700, 700] }],
    build: (tensors) => {
      let y = at(tensors, 'x') as Tensor2D;
      for (let i = 0; i < 20; i++) y = softmax(matMul(y, y)) as Tensor2D;
      return { total: sum(y) };
    },
  };
  const executable = await runtime.prepare(program);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await executable.run({ x: float32([700, 700], new Float32Array(490_000).fill(0.1)) });
  clearInterval(timer);
  assert.ok(ticks > 3, `${ticks} timer ticks during the run`);
});

test('a device that cannot be computed on is refused, never replaced', async (t) => {
  const cuda = createOnnxRuntime({ device: 'cuda', threads: 1 });
  t.after(() => cuda.dispose());
  const program: Program = {
    name: 'double',
    inputs: [{ name: 'x', dtype: 'float32', shape: [1] }],
    build: (tensors) => ({ y: mul(at(tensors, 'x'), 2) }),
  };
  const outcome = await cuda.prepare(program).then(
    async (executable) => (await executable.run({ x: float32([1], Float32Array.of(3)) }))['y']?.data[0],
    (error: unknown) => error,
  );
  // On a machine with a GPU and its files it computes.
  if (outcome === 6) return;
  assert.ok(outcome instanceof UnsupportedError, String(outcome));
  assert.match(outcome.message, /^device: .*cannot compute on "cuda"/);
});
