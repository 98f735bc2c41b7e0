import { FailedPreconditionError, type NdArray, UnsupportedError } from '@online-cnclip/foundation';
import { keep, type Tensor, tidy } from '@tensorflow/tfjs-core';
import { checkedInput } from '../checked-input.ts';
import type { Executable, Program, RunArray, Runtime, TensorSpec } from '../program.ts';
import { inMemory } from '../run-arrays.ts';
import {
  activateTensorFlow,
  loadTensorFlow,
  type TensorFlow,
  type TensorFlowOptions,
} from './load-tensorflow.ts';
import { TensorSlot } from './tensor-slot.ts';
import { toArray, toTensor } from './tensors.ts';

export interface TfjsNodeRuntime extends Runtime {
  readonly tensorFlow: TensorFlow;
  deviceArray(shape: readonly number[]): TensorSlot;
}

/**
 * Runs programs operation by operation on TensorFlow, by TFJS's own Node backend: on a GPU where TensorFlow sees one. It computes on
 * the calling thread, which must therefore not be one that answers calls. Programs are in single precision and hold no exchanges
 * between replicas: an operation cannot wait for another process there.
 *
 * @throws as loadTensorFlow() does.
 */
export async function createTfjsNodeRuntime(options: TensorFlowOptions): Promise<TfjsNodeRuntime> {
  const tensorFlow = await loadTensorFlow(options);
  return {
    name: 'tfjs-node-gpu',
    canExchange: false,
    tensorFlow,
    async prepare(program, exchange) {
      const place = program.name;
      if (exchange)
        throw new UnsupportedError('tfjs-node-gpu cannot exchange between replicas within a program', {
          place,
        });
      if (program.precision === 'half')
        throw new UnsupportedError('tfjs-node-gpu computes in fp32 only', { place });
      return new EagerExecutable(program);
    },
    deviceArray(shape) {
      activateTensorFlow();
      return TensorSlot.zeros(shape);
    },
    dispose: async () => {},
  };
}

class EagerExecutable implements Executable {
  readonly #program: Program;
  readonly #constants: Readonly<Record<string, Tensor>>;
  #isDisposed = false;

  constructor(program: Program) {
    activateTensorFlow();
    this.#program = program;
    this.#constants = Object.fromEntries(
      [...(program.constants ?? [])].map(([name, array]) => [name, keep(toTensor(array, program.name))]),
    );
  }

  async run(
    inputs: Readonly<Record<string, RunArray>>,
    into: Readonly<Record<string, RunArray>> = {},
  ): Promise<Readonly<Record<string, NdArray>>> {
    const outputs: Record<string, NdArray> = {};
    for (const [name, tensor] of this.#compute(inputs, into)) {
      const array = await toArray(tensor);
      tensor.dispose();
      const given = into[name] && inMemory(into[name], name);
      if (given) (given.data as Float32Array).set(array.data as Float32Array);
      outputs[name] = given ?? array;
    }
    return outputs;
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    for (const tensor of Object.values(this.#constants)) tensor.dispose();
  }

  /** The outputs that do not go into slots, each a tensor that the caller disposes of; nothing else stays. */
  #compute(
    inputs: Readonly<Record<string, RunArray>>,
    into: Readonly<Record<string, RunArray>>,
  ): Map<string, Tensor> {
    const { name: place, inputs: specs, build } = this.#program;
    if (this.#isDisposed) throw new FailedPreconditionError('was disposed of', { place });
    activateTensorFlow();
    const results = new Map<string, Tensor>();
    tidy(() => {
      const tensors = {
        ...this.#constants,
        ...Object.fromEntries(specs.map((spec) => [spec.name, this.#input(spec, inputs[spec.name])])),
      };
      const outputs = Object.entries(build(tensors));
      for (const [name, tensor] of outputs) {
        const slot = into[name];
        if (slot instanceof TensorSlot) slot.hold(tensor);
        else results.set(name, keep(tensor.clone()));
      }
      // What a program kept for itself outlives the scope; an output may be an input as it came, too.
      const given = new Set(Object.values(tensors));
      for (const [, tensor] of outputs) if (tensor.kept && !given.has(tensor)) tensor.dispose();
    });
    return results;
  }

  #input(spec: TensorSpec, given: RunArray | undefined): Tensor {
    const { name } = this.#program;
    const array = checkedInput(name, spec, given);
    return array instanceof TensorSlot ? array.view() : toTensor(inMemory(array, spec.name), name);
  }
}
