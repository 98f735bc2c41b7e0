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
 * A computation written once with TFJS operations. A runtime either traces it to a graph and compiles that,
 * or calls it as it is; the program never knows which.
 */
export interface Program {
  readonly name: string;
  /** Fed at each run. */
  readonly inputs: readonly TensorSpec[];
  /** Bound once, when the program is prepared (weights of an inference program): float32. */
  readonly constants?: NamedArrays;
  /** Pure: inputs and constants by name -> outputs by name. */
  build(tensors: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
}
