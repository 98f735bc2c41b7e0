import type { NdArray } from '@online-cnclip/foundation';

/** Puts the caller's arrays in the place of the outputs, with their values where those were not written in place. */
export function writeInto(outputs: Map<string, NdArray>, into: Readonly<Record<string, NdArray>>): void {
  for (const [name, array] of Object.entries(into)) {
    const fresh = outputs.get(name);
    if (fresh) (array.data as Float32Array).set(fresh.data as Float32Array);
    outputs.set(name, array);
  }
}
