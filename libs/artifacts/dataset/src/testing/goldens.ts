import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** tsv, jsonl, and the LMDB that Python's lmdb and pickle wrote of them. */
export const GOLDENS = fileURLToPath(new URL('../../../../../test/goldens/dataset', import.meta.url));
export const GOLDEN_LMDB = join(GOLDENS, 'lmdb');

export type GoldenPair = readonly [imageId: number, textId: number, text: string];

export async function goldenPairs(): Promise<GoldenPair[]> {
  return JSON.parse(await readFile(join(GOLDENS, 'pairs.json'), 'utf8'));
}

/** Images of a golden .tsv: id and base64. */
export async function goldenImages(split: string): Promise<Map<string, string>> {
  const tsv = await readFile(join(GOLDENS, `${split}_imgs.tsv`), 'utf8');
  return new Map(
    tsv
      .trim()
      .split('\n')
      .map((line) => line.split('\t') as [string, string]),
  );
}

/** A folder that is removed after the test. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dataset-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function copyOfGoldens(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  await cp(GOLDENS, folder, { recursive: true });
  return folder;
}

/** Pseudo-random integers below a bound, the same for the same seed (mulberry32). */
export function randomBelow(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return Math.floor((((z ^ (z >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}
