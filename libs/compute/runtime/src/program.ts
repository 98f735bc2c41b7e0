import type { DType, NamedArrays, NdArray } from '@online-cnclip/foundation';
import type { Tensor } from '@tensorflow/tfjs-core';

/** A dimension is a size, or the name of a symbol that is known only when the program runs. */
export type Dimension = number | string;

export interface TensorSpec {
  readonly name: string;
  readonly dtype: 'float32' | 'int32' | 'bool';
  readonly shape: readonly Dimension[];
}

/**
 * A computation written once with TFJS operations. A runtime either traces it to a graph and compiles that,
 * or calls it as it is; the program never knows which.
 */
export interface Program {
  readonly name: string;
  /** Fed at each run. */
  readonly inputs: readonly TensorSpec[];
  /** Bound once, when the program is prepared (weights of an inference program). */
  readonly constants?: NamedArrays;
  /** Pure: inputs and constants by name -> outputs by name. */
  build(tensors: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
}

export interface Executable {
  /**
   * Runs the program once.
   *
   * @param inputs one array per input spec.
   * @param into arrays to write outputs into, by output name; the buffer of an input may be given, which updates it
   *   in place where the computation reads each element before it writes it.
   * @returns every output by name.
   */
  run(
    inputs: Readonly<Record<string, NdArray>>,
    into?: Readonly<Record<string, NdArray>>,
  ): Promise<Readonly<Record<string, NdArray>>>;
  dispose(): Promise<void>;
}

export interface Runtime {
  readonly name: 'onnxruntime' | 'tfjs-node-gpu';
  prepare(program: Program): Promise<Executable>;
}

export type { DType };
