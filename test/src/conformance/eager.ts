import '@tensorflow/tfjs-backend-cpu';
import type { NdArray } from '@online-cnclip/foundation';
import type { Program } from '@online-cnclip/runtime';
import * as tf from '@tensorflow/tfjs-core';

const EAGER_BACKEND = 'cpu';

/** Calls a program as it is, operation by operation, on TFJS's own CPU backend: the reference of the tracer. */
export async function runEagerly(
  program: Program,
  inputs: Readonly<Record<string, NdArray>>,
): Promise<Readonly<Record<string, NdArray>>> {
  await tf.setBackend(EAGER_BACKEND);
  const given = [
    ...program.inputs.map(({ name }) => [name, inputs[name]] as const),
    ...(program.constants ?? []),
  ];
  const outputs = tf.tidy(() =>
    program.build(Object.fromEntries(given.map(([name, array]) => [name, toTensor(name, array)]))),
  );
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, toArray(tensor)]));
}

function toTensor(name: string, array: NdArray | undefined): tf.Tensor {
  if (!array) throw new Error(`input ${name} is missing`);
  const { data, shape, dtype } = array;
  return tf.tensor(data as Float32Array, [...shape], dtype as 'float32');
}

function toArray(tensor: tf.Tensor): NdArray {
  const { shape, dtype } = tensor;
  const data = tensor.dataSync();
  tensor.dispose();
  return { dtype, shape, data } as NdArray;
}
