import type { NdArray } from '@online-cnclip/foundation';
import type { Program } from '@online-cnclip/tracer';

export type { Dimension, Precision, Program, TensorSpec } from '@online-cnclip/tracer';

/** A float32 array that stays where programs run: read as an input, replaced as an output, in memory only when asked for. */
export interface DeviceArray {
  readonly dtype: 'float32';
  readonly shape: readonly number[];
  /** The same elements as one row `[n]`; not a copy. */
  flat(): DeviceArray;
  /** A copy in memory. */
  read(): Promise<Float32Array>;
  /** @throws InvalidInputError when there are more or fewer values than elements. */
  write(values: Float32Array): void;
  /** Makes every element zero, where it is. */
  clear(): void;
  /** Gives its memory back; it cannot be used any more. */
  dispose(): void;
}

/** What programs read and write. */
export type RunArray = NdArray | DeviceArray;

export interface Executable {
  /**
   * Runs the program once; runs of one executable queue up.
   *
   * @param inputs one array per input spec.
   * @param into arrays to write outputs into, by output name. Backed by shared memory (`sharedZeros`) they are written in
   *   place, and may be an input's own array where the program reads each element before it writes it.
   * @returns every output by name, without those that went into a device array.
   */
  run(
    inputs: Readonly<Record<string, RunArray>>,
    into?: Readonly<Record<string, RunArray>>,
  ): Promise<Readonly<Record<string, NdArray>>>;
  dispose(): Promise<void>;
}

/** The other replicas, as a program's exchanges need them. */
export interface ReplicaExchange {
  /** Replaces the buffer, the same size on every replica, by the sum over replicas. */
  allReduceSum(buffer: Float32Array): Promise<void>;
  /** @param input `[n]` on every replica  @param output `[worldSize, n]`, in the order of ranks */
  allGather(input: Float32Array, output: Float32Array): Promise<void>;
}

export interface Runtime {
  readonly name: 'onnxruntime' | 'tfjs-node-gpu';
  /** Whether programs may exchange tensors between replicas while they run; absent: they may not. */
  readonly canExchange?: boolean;
  /**
   * @param exchange answers the program's exchanges between replicas; every replica then runs the program as often.
   * @throws UnsupportedError where the runtime cannot run the program.
   */
  prepare(program: Program, exchange?: ReplicaExchange): Promise<Executable>;
  /** Zeros on the device; absent where programs run in memory, which `sharedZeros` gives them. */
  deviceArray?(shape: readonly number[]): DeviceArray;
  dispose(): Promise<void>;
}
