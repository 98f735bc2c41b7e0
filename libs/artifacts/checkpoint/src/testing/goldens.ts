import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { NamedArrays, NdArray } from '@online-cnclip/foundation';

/** A file of test/goldens/model; its README says how they were made. */
export const golden = (path: string): string =>
  fileURLToPath(new URL(`../../../../../test/goldens/model/${path}`, import.meta.url));

/** A folder of the test file's own, removed after its last test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'checkpoint-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Plain values, for deepEqual with a readable difference. */
export const plain = (arrays: NamedArrays): Record<string, [string, readonly number[], unknown[]]> =>
  Object.fromEntries(
    [...arrays].map(([name, { dtype, shape, data }]) => [name, [dtype, shape, Array.from<unknown>(data)]]),
  );

export const float32Array = (shape: readonly number[], values: readonly number[]): NdArray<'float32'> => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

/** mulberry32: numbers in [0, 1) that a seed fixes. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
