// The eager runtime on TensorFlow's CPU build, the same code as on a GPU. Run by main.ts, which builds TensorFlow first; not part of
// `npm test`, which must work without it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { skipWithoutGloo } from '@online-cnclip/collectives/testing';
import { FailedPreconditionError, float32 } from '@online-cnclip/foundation';
import { initializeParameters } from '@online-cnclip/network';
import { createOnnxRuntime, createTfjsNodeRuntime, type Program } from '@online-cnclip/runtime';
import { createTrainStep } from '@online-cnclip/training';
import { CONTEXT_LENGTH, SMALL_VIT, testBatch } from '@online-cnclip/training/testing';
import { memory, mul, sum, type Tensor } from '@tensorflow/tfjs-core';
import { isMiss } from '../parity/case.ts';
import { runParity } from '../parity/run-parity.ts';
import { ReplicaProcesses } from '../replicas/replica-processes.ts';

const GOLDENS = fileURLToPath(new URL('../../goldens', import.meta.url));
/** Folders whose cases compute with the model. */
const COMPUTED = /^(model|training|online)\//;
/** Of the parity cases together; 24,000 were counted when this was written. */
const FEWEST_OPERATIONS = 10_000;

const STEPS = 200;
const PAIRS = 4;
const LEARNING_RATE = 1e-3;

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

  const [x, y2] = [runtime.deviceArray([3]), runtime.deviceArray([3])];
  x.write(numbers.data);
  assert.throws(() => x.write(new Float32Array(2)), /2 values for the shape \[3\]/);
  // A place may be an input and an output at once.
  for (let i = 0; i < 3; i++) {
    const { total } = await executable.run({ x }, { y: y2, same: x });
    assert.equal(total?.data[0], 6);
  }
  assert.deepEqual([...(await y2.read())], [1, 4, 9]);
  assert.deepEqual([...(await x.flat().read())], [1, 2, 3]);
  assert.equal(memory().numTensors, before + 2);
  y2.clear();
  assert.deepEqual([...(await y2.read())], [0, 0, 0]);
  assert.equal(memory().numTensors, before + 2);
  for (const array of [x, y2]) array.dispose();
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

/** Of a loss, between TensorFlow's and onnxruntime's order of sums. */
const LOSS_TOLERANCE = 1e-4;

test('two processes on TensorFlow over Gloo train what one on onnxruntime trains', {
  skip: skipWithoutGloo(),
}, async () => {
  const train = async (worldSize: number, tfjsNodeFolder?: string) => {
    const group = await ReplicaProcesses.start({
      visionModel: 'ViT-mini-8-48',
      textModel: 'RoBERTa-mini-chinese',
      globalBatch: 8,
      threads: 1,
      worldSize,
      ...(tfjsNodeFolder !== undefined && { tfjsNodeFolder }),
    });
    try {
      return await group.train(3);
    } finally {
      await group.end();
    }
  };
  const [one] = await train(1);
  const [first, second] = await train(2, folder);
  assert.ok(one && first && second);
  assert.equal(second.digest, first.digest, 'the same parameters, to the bit');
  one.losses.forEach((loss, step) => {
    const error = Math.abs((first.losses[step] as number) - loss) / loss;
    assert.ok(error <= LOSS_TOLERANCE, `the loss of step ${step} is off by ${error}`);
  });
});

test('two hundred steps leave nothing behind, and their state can be read', async () => {
  const settings = {
    config: SMALL_VIT,
    parameters: initializeParameters(SMALL_VIT, 1),
    runtime,
    batchSize: PAIRS,
    contextLength: CONTEXT_LENGTH,
    loss: 'dsl',
    optimizer: { kind: 'lamb', beta1: 0.9, beta2: 0.98, eps: 1e-6, weightDecay: 0.01, maxGradientNorm: 1 },
    freezeVision: false,
    seed: 1,
  } as const;
  const step = await createTrainStep(settings);
  const { images, ids } = testBatch(PAIRS, 0);
  const run = (some = step) => some.run(images, ids, LEARNING_RATE);
  const first = await run();
  const { numTensors, numBytes } = memory();
  let last = first;
  for (let i = 0; i < STEPS; i++) last = await run();
  assert.deepEqual([memory().numTensors, memory().numBytes], [numTensors, numBytes]);
  assert.ok(last.loss < first.loss, `loss ${first.loss} became ${last.loss}`);

  const { parameters, optimizer } = await step.state();
  assert.equal(optimizer.step, STEPS + 1);
  const copy = await createTrainStep(settings);
  await copy.restore({ parameters, optimizer });
  assert.equal((await run(copy)).loss, (await run()).loss);
  const held = memory().numTensors;
  await copy.dispose();
  assert.equal(memory().numTensors, numTensors, `${held} tensors before`);
  await step.dispose();
});
