import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NdArray } from '@online-cnclip/foundation';
import type { Runtime } from '@online-cnclip/runtime';

/** One comparison with the reference stack: the largest error seen and the most that is allowed. */
export interface ParityResult {
  readonly name: string;
  readonly error: number;
  readonly tolerance: number;
  /** What the error is measured in. */
  readonly unit: string;
}

export interface SkippedCase {
  readonly name: string;
  readonly skipped: string;
}

export interface ParityContext {
  /** The golden folder; nothing is read from elsewhere. */
  readonly folder: string;
  readonly runtime: Runtime;
}

/** Compares one golden subfolder. A case that cannot be run throws, which counts as a miss of that folder. */
export type ParitySuite = (context: ParityContext) => AsyncIterable<ParityResult | SkippedCase>;

export const isMiss = (result: ParityResult): boolean => !(result.error <= result.tolerance);

export const readJson = <T>(folder: string, ...path: string[]): T =>
  JSON.parse(readFileSync(join(folder, ...path), 'utf8')) as T;

export const readLines = (folder: string, ...path: string[]): string[] =>
  readFileSync(join(folder, ...path), 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');

/** A comparison that knows only right and wrong: the error is the number of mismatches. */
export const countOf = (name: string, mismatches: number): ParityResult => ({
  name,
  error: mismatches,
  tolerance: 0,
  unit: 'mismatches',
});

/** The largest absolute difference, divided by the reference's largest value. Infinity where shapes differ. */
export function relativeError(actual: NdArray | undefined, expected: NdArray): number {
  if (!actual || actual.data.length !== expected.data.length) return Number.POSITIVE_INFINITY;
  const [a, e] = [actual.data as Float32Array, expected.data as Float32Array];
  let [scale, worst] = [0, 0];
  for (let i = 0; i < e.length; i++) {
    const difference = Math.abs((a[i] as number) - (e[i] as number));
    // Not a number: the largest of all errors, and not to be forgotten over the next one.
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, difference);
    scale = Math.max(scale, Math.abs(e[i] as number));
  }
  return scale === 0 ? worst : worst / scale;
}
