import type { NdArray } from '@online-cnclip/foundation';
import type { Program } from '@online-cnclip/tracer';

export type { Dimension, Program, TensorSpec } from '@online-cnclip/tracer';

export interface Executable {
  /**
   * Runs the program once; runs of one executable queue up.
   *
   * @param inputs one array per input spec.
   * @param into arrays to write outputs into, by output name. Backed by shared memory (`sharedZeros`) they are written in
   *   place, and may be an input's own array where the program reads each element before it writes it.
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
  dispose(): Promise<void>;
}
