// For tests only: the golden cases made with the reference stack (test/goldens).
import { readFileSync } from 'node:fs';

const folder = new URL('../../../../../test/goldens/', import.meta.url);

export const readGolden = (path: string): Buffer => readFileSync(new URL(path, folder));

export const readGoldenJson = <T>(path: string): T => JSON.parse(readGolden(path).toString()) as T;

export interface GoldenTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

/** A safetensors file's tensors by name. */
export function readGoldenTensors(path: string): Map<string, GoldenTensor> {
  const file = readGolden(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return new Map(
    Object.entries(header)
      .filter(([name]) => name !== '__metadata__')
      .map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [from, to],
          },
        ]) => [name, { dtype, shape, bytes: file.subarray(start + from, start + to) }],
      ),
  );
}

export interface Difference {
  readonly mean: number;
  readonly max: number;
}

/** Absolute difference in levels. */
export function difference(actual: Uint8Array, expected: Uint8Array): Difference {
  if (actual.length !== expected.length)
    throw new Error(`${actual.length} values, not ${expected.length} as expected`);
  let sum = 0;
  let max = 0;
  for (let at = 0; at < expected.length; at++) {
    const distance = Math.abs((actual[at] as number) - (expected[at] as number));
    sum += distance;
    max = Math.max(max, distance);
  }
  return { mean: sum / expected.length, max };
}
