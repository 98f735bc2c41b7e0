import type { DType, NdArray } from '@online-cnclip/foundation';
import type { Executable, Program, Runtime } from './program.ts';

/** An array that lives where programs run. */
export interface DeviceArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** A copy in memory. */
  read(): Promise<NdArray>;
  /** Gives its memory back; it cannot be used any more. */
  dispose(): void;
}

export interface DeviceExecutable extends Executable {
  /**
   * As {@link Executable.run}, but results stay on the device, and inputs may be there already.
   *
   * @returns every output by name; the caller disposes of them.
   */
  runOnDevice(
    inputs: Readonly<Record<string, NdArray | DeviceArray>>,
  ): Promise<Readonly<Record<string, DeviceArray>>>;
}

/** A runtime whose programs run in a memory of their own: what is used again and again is kept there. */
export interface DeviceRuntime extends Runtime {
  readonly keepsArrays: true;
  upload(array: NdArray): DeviceArray;
  prepare(program: Program): Promise<DeviceExecutable>;
}

export const isDeviceRuntime = (runtime: Runtime): runtime is DeviceRuntime => 'keepsArrays' in runtime;
