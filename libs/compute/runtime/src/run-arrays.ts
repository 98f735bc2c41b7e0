import { InvalidInputError, type NdArray } from '@online-cnclip/foundation';
import type { RunArray } from './program.ts';

/** @throws InvalidInputError when the array is on another runtime's device. */
export function inMemory(array: RunArray, name: string): NdArray {
  if ('data' in array) return array;
  throw new InvalidInputError('is on a device that this runtime does not compute on', { place: name });
}

/** @throws as inMemory() does. */
export const allInMemory = (arrays: Readonly<Record<string, RunArray>>): Readonly<Record<string, NdArray>> =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, inMemory(array, name)]));

/** Puts the caller's arrays in the place of the outputs, with their values where those were not written in place. */
export function writeInto(outputs: Map<string, NdArray>, into: Readonly<Record<string, NdArray>>): void {
  for (const [name, array] of Object.entries(into)) {
    const fresh = outputs.get(name);
    if (fresh) (array.data as Float32Array).set(fresh.data as Float32Array);
    outputs.set(name, array);
  }
}
