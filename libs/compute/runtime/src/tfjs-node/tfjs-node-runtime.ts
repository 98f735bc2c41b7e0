import { FailedPreconditionError, type NdArray } from '@online-cnclip/foundation';
import { keep, type Tensor, tidy } from '@tensorflow/tfjs-core';
import { checkedInput } from '../checked-input.ts';
import type { DeviceArray, DeviceExecutable, DeviceRuntime } from '../device.ts';
import type { Program, TensorSpec } from '../program.ts';
import {
  activateTensorFlow,
  loadTensorFlow,
  type TensorFlow,
  type TensorFlowOptions,
} from './load-tensorflow.ts';
import { toArray, toTensor } from './tensors.ts';

export interface TfjsNodeRuntime extends DeviceRuntime {
  readonly tensorFlow: TensorFlow;
}

/**
 * Runs programs operation by operation on TensorFlow, by TFJS's own Node backend: on a GPU where TensorFlow sees one. It computes on
 * the calling thread, which must therefore not be one that answers calls.
 *
 * @throws as loadTensorFlow() does.
 */
export async function createTfjsNodeRuntime(options: TensorFlowOptions): Promise<TfjsNodeRuntime> {
  const tensorFlow = await loadTensorFlow(options);
  return {
    name: 'tfjs-node-gpu',
    keepsArrays: true,
    tensorFlow,
    upload: (array) => {
      activateTensorFlow();
      return new TensorArray(toTensor(array, 'upload'));
    },
    prepare: async (program) => new EagerExecutable(program),
    dispose: async () => {},
  };
}

class TensorArray implements DeviceArray {
  readonly tensor: Tensor;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
  }

  get dtype(): NdArray['dtype'] {
    return this.tensor.dtype as NdArray['dtype'];
  }

  get shape(): readonly number[] {
    return this.tensor.shape;
  }

  read(): Promise<NdArray> {
    return toArray(this.tensor);
  }

  dispose(): void {
    this.tensor.dispose();
  }
}

class EagerExecutable implements DeviceExecutable {
  readonly #program: Program;
  readonly #constants: Readonly<Record<string, Tensor>>;
  #isDisposed = false;

  constructor(program: Program) {
    activateTensorFlow();
    this.#program = program;
    this.#constants = Object.fromEntries(
      [...(program.constants ?? [])].map(([name, array]) => [name, toTensor(array, program.name)]),
    );
  }

  async runOnDevice(
    inputs: Readonly<Record<string, NdArray | DeviceArray>>,
  ): Promise<Readonly<Record<string, DeviceArray>>> {
    return Object.fromEntries(
      Object.entries(this.#compute(inputs)).map(([name, tensor]) => [name, new TensorArray(tensor)]),
    );
  }

  async run(
    inputs: Readonly<Record<string, NdArray>>,
    into: Readonly<Record<string, NdArray>> = {},
  ): Promise<Readonly<Record<string, NdArray>>> {
    const outputs: Record<string, NdArray> = {};
    for (const [name, tensor] of Object.entries(this.#compute(inputs))) {
      const array = await toArray(tensor);
      tensor.dispose();
      const given = into[name];
      if (given) (given.data as Float32Array).set(array.data as Float32Array);
      outputs[name] = given ?? array;
    }
    return outputs;
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    for (const tensor of Object.values(this.#constants)) tensor.dispose();
  }

  /** The outputs, each a tensor of its own that the caller disposes of; nothing else stays. */
  #compute(inputs: Readonly<Record<string, NdArray | DeviceArray>>): Record<string, Tensor> {
    const { name: place, inputs: specs, build } = this.#program;
    if (this.#isDisposed) throw new FailedPreconditionError('was disposed of', { place });
    activateTensorFlow();
    const results = new Map<string, Tensor>();
    tidy(() => {
      const tensors = {
        ...this.#constants,
        ...Object.fromEntries(specs.map((spec) => [spec.name, this.#input(spec, inputs[spec.name])])),
      };
      const outputs = build(tensors);
      for (const [name, tensor] of Object.entries(outputs)) results.set(name, keep(tensor.clone()));
      // What a program kept for itself outlives the scope; an output may be an input as it came, too.
      const given = new Set(Object.values(tensors));
      for (const tensor of Object.values(outputs)) if (tensor.kept && !given.has(tensor)) tensor.dispose();
    });
    return Object.fromEntries(results);
  }

  #input(spec: TensorSpec, given: NdArray | DeviceArray | undefined): Tensor {
    const { name } = this.#program;
    const array = checkedInput(name, spec, given);
    return array instanceof TensorArray ? array.tensor : toTensor(array as NdArray, name);
  }
}
