// The eager runtime on TensorFlow's CPU build, the same code as on a GPU. Run by main.ts, which builds TensorFlow first; not part of
// `npm test`, which must work without it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FailedPreconditionError, float32 } from '@online-cnclip/foundation';
import { createOnnxRuntime, createTfjsNodeRuntime, type Program } from '@online-cnclip/runtime';
import { memory, mul, sum, type Tensor } from '@tensorflow/tfjs-core';
import { isMiss } from '../parity/case.ts';
import { runParity } from '../parity/run-parity.ts';

const GOLDENS = fileURLToPath(new URL('../../goldens', import.meta.url));
/** Folders whose cases compute with the model. */
const COMPUTED = /^(model|training|online)\//;
/** Of the parity cases together; 24,000 were counted when this was written. */
const FEWEST_OPERATIONS = 10_000;

const folder = process.env['TFJS_NODE_FOLDER'];
assert.ok(folder, 'TFJS_NODE_FOLDER is not set: run this with npm run test:tfjs-node');
const runtime = await createTfjsNodeRuntime({ folder, allowCpu: true });
const { tensorFlow } = runtime;

const square: Program = {
  name: 'square',
  inputs: [{ name: 'x', dtype: 'float32', shape: ['n'] }],
  build: ({ x }) => ({ y: mul(x as Tensor, x as Tensor), total: sum(x as Tensor), same: x as Tensor }),
};
const numbers = float32([3], Float32Array.of(1, 2, 3));

test('the cases of the reference stack agree, computed by TensorFlow', async (t) => {
  const before = tensorFlow.operations();
  let compared = 0;
  for await (const result of runParity(GOLDENS, runtime)) {
    if ('skipped' in result) continue;
    if (COMPUTED.test(result.name)) compared++;
    await t.test(result.name, () => {
      assert.ok(!('failure' in result), 'failure' in result ? result.failure : '');
      assert.ok(!isMiss(result), `${result.error} of ${result.tolerance} ${result.unit}`);
    });
  }
  const operations = tensorFlow.operations() - before;
  t.diagnostic(`TensorFlow ${tensorFlow.version} ran ${operations} operations for ${compared} comparisons`);
  assert.ok(compared >= 30, `${compared} comparisons`);
  assert.ok(operations >= FEWEST_OPERATIONS, `${operations} operations`);
});

test('a GPU that is not there is missed, unless the CPU is allowed', async () => {
  const started = createTfjsNodeRuntime({ folder, allowCpu: false });
  if (tensorFlow.usesGpu) await started;
  else
    await assert.rejects(
      started,
      (error) => error instanceof FailedPreconditionError && /sees no GPU/.test(error.message),
    );
});

test('nothing is left on the device but what was asked for', async () => {
  const executable = await runtime.prepare(square);
  const before = memory().numTensors;
  const { y } = await executable.run({ x: numbers });
  assert.deepEqual([...(y?.data ?? [])], [1, 4, 9]);
  assert.equal(memory().numTensors, before);

  const x = runtime.upload(numbers);
  const outputs = await executable.runOnDevice({ x });
  assert.equal(memory().numTensors, before + 4);
  // An output that is the input as it came is an array of its own.
  outputs['same']?.dispose();
  assert.deepEqual((await x.read()).data, numbers.data);
  for (const array of [x, outputs['y'], outputs['total']]) array?.dispose();
  assert.equal(memory().numTensors, before);
  await executable.dispose();
  await assert.rejects(executable.run({ x: numbers }), /disposed/);
});

test('the tracer and TensorFlow take turns in one process', async (t) => {
  const onnx = createOnnxRuntime({ threads: 1 });
  t.after(() => onnx.dispose());
  const executables = [
    await runtime.prepare(square),
    await onnx.prepare(square),
    await runtime.prepare(square),
  ];
  for (const executable of executables) {
    const { total } = await executable.run({ x: numbers });
    assert.equal(total?.data[0], 6);
  }
});

test('inputs that do not fit are refused by name', async () => {
  const executable = await runtime.prepare(square);
  await assert.rejects(executable.run({}), /square: input "x": is missing/);
  await assert.rejects(executable.run({ x: float32([1, 1], new Float32Array(1)) }), /\[1,1\] given/);
});
