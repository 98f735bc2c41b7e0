// Reference: the same program on TFJS's CPU backend. Convolutions, pooling, batch normalisation and their gradients are
// TFJS's own there; the tracer writes each as other ONNX nodes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadParameters, readSafetensors } from '@online-cnclip/checkpoint';
import type { NdArray } from '@online-cnclip/foundation';
import { gradientProgram, parameterSpecs, parseTextConfig, parseVisionConfig } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { relativeError } from '../parity/case.ts';
import { runEagerly } from './eager.ts';

/** Scaled by the reference's largest value; the order of float32 sums differs. */
const TOLERANCE = 5e-5;

/** Softmax cancels what a key's bias adds to every score: its true gradient is zero. */
const isNoise = (name: string): boolean => /(self\.key|k_proj)\.bias$/.test(name);

const golden = (name: string): string =>
  fileURLToPath(new URL(`../../goldens/model/resnet/${name}`, import.meta.url));
const configOf = (tower: string) => JSON.parse(readFileSync(golden(`${tower}_model_config.json`), 'utf8'));

test('the gradients of a model with a residual network equal those of the CPU backend', async (t) => {
  const config = {
    vision: parseVisionConfig(configOf('vision')),
    text: parseTextConfig(configOf('text')),
  };
  const cases = await readSafetensors(golden('cases.safetensors'));
  const [images, ids] = [cases.get('images'), cases.get('input_ids')] as [NdArray, NdArray];
  const { parameters } = await loadParameters(golden('checkpoint.pt'), parameterSpecs(config));
  const batchSize = images.shape[0] as number;
  const program = gradientProgram({ config, batchSize, loss: 'dsl', freezeVision: false });
  const inputs = { images, input_ids: ids, ...Object.fromEntries(parameters) };
  const expected = await runEagerly(program, inputs);
  const runtime = createOnnxRuntime({ threads: 1 });
  try {
    const executable = await runtime.prepare(program);
    const actual = await executable.run(inputs);
    assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort());
    let worst = { name: '', error: 0 };
    for (const [name, reference] of Object.entries(expected)) {
      if (isNoise(name)) continue;
      const error = relativeError(actual[name], reference);
      assert.ok(error <= TOLERANCE, `${name}: ${error}`);
      if (error > worst.error) worst = { name, error };
    }
    t.diagnostic(`largest relative error ${worst.error.toExponential(1)}, of ${worst.name}`);
  } finally {
    await runtime.dispose();
  }
});
