import type { NamedArrays } from '@online-cnclip/foundation';
import type { Tensor } from '@tensorflow/tfjs-core';

/** A dimension is a size, or the name of a symbol that is known only when the program runs. */
export type Dimension = number | string;

export interface TensorSpec {
  readonly name: string;
  readonly dtype: 'float32' | 'int32' | 'bool';
  readonly shape: readonly Dimension[];
}

/**
 * How exact a program's matrix products and convolutions are. `half`: their operands and results are rounded to IEEE
 * 754 binary16; everything else stays in binary32.
 */
export type Precision = 'single' | 'half';

/**
 * A computation written once with TFJS operations. A runtime either traces it to a graph and compiles that,
 * or calls it as it is; the program never knows which.
 */
export interface Program {
  readonly name: string;
  /** Fed at each run. */
  readonly inputs: readonly TensorSpec[];
  /** Bound once, when the program is prepared (weights of an inference program): float32. */
  readonly constants?: NamedArrays;
  /** Default: single. The program is built the same either way. */
  readonly precision?: Precision;
  /** Pure: inputs and constants by name -> outputs by name. */
  build(tensors: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
}
