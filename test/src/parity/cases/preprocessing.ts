import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '@online-cnclip/checkpoint';
import { ApplicationError, type NdArray } from '@online-cnclip/foundation';
import { decodeImage, preprocess, resizeRgb } from '@online-cnclip/preprocessing';
import { countOf, type ParityResult, type ParitySuite, readJson, relativeError } from '../case.ts';

/** Levels of 255, by Pillow's mode: a mean over the picture, and the worst single value. */
const TOLERANCES: Readonly<Record<string, { readonly mean: number; readonly max: number }>> = {
  RGB: { mean: 0.1, max: 2 },
  L: { mean: 0.1, max: 2 },
  LA: { mean: 0.1, max: 2 },
  RGBA: { mean: 0.1, max: 2 },
  CMYK: { mean: 0.1, max: 2 },
  'I;16': { mean: 0.1, max: 2 },
  // Taken from the nearest pixel: another decoder's rounding cannot show.
  P: { mean: 0, max: 0 },
  '1': { mean: 0, max: 0 },
};
const NORMALIZED_TOLERANCE = 1e-5;

export function levels(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): { mean: number; max: number } {
  if (actual.length !== expected.length)
    return { mean: Number.POSITIVE_INFINITY, max: Number.POSITIVE_INFINITY };
  let [sum, max] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number));
    sum += difference;
    max = Math.max(max, difference);
  }
  return { mean: sum / expected.length, max };
}

export const preprocessing: ParitySuite = async function* ({ folder }) {
  const root = join(folder, 'preprocessing');
  const modes = readJson<Record<string, string>>(root, 'modes.json');
  for (const file of readdirSync(root)) {
    if (/^expected-\d+x\d+-rgb\.safetensors$/.test(file)) yield* resized(root, file, modes);
    if (/^expected-.*-normalized-chw\.safetensors$/.test(file)) yield* normalized(root, file);
  }
  for (const file of readdirSync(join(root, 'bad'))) yield await refused(join(root, 'bad', file), file);
};

async function* resized(
  root: string,
  file: string,
  modes: Readonly<Record<string, string>>,
): AsyncIterable<ParityResult> {
  for (const [name, { shape, data }] of await readSafetensors(join(root, file))) {
    const mode = modes[name] as string;
    const [height, width] = shape as [number, number];
    const image = await decodeImage(readFileSync(join(root, name)));
    const { mean, max } = levels(resizeRgb(image, width, height).data, data as Uint8Array);
    const tolerance = TOLERANCES[mode];
    if (!tolerance) throw new Error(`${name} has mode ${mode}, which has no stated tolerance`);
    yield {
      name: `preprocessing/${name} (${mode}): mean`,
      error: mean,
      tolerance: tolerance.mean,
      unit: 'levels',
    };
    yield {
      name: `preprocessing/${name} (${mode}): max`,
      error: max,
      tolerance: tolerance.max,
      unit: 'levels',
    };
  }
}

async function* normalized(root: string, file: string): AsyncIterable<ParityResult> {
  for (const [name, expected] of await readSafetensors(join(root, file))) {
    const data = await preprocess(readFileSync(join(root, name)), expected.shape[1] as number);
    const actual: NdArray = { dtype: 'float32', shape: expected.shape, data };
    const error = relativeError(actual, expected);
    yield {
      name: `preprocessing/${name}: normalised`,
      error,
      tolerance: NORMALIZED_TOLERANCE,
      unit: 'relative',
    };
  }
}

async function refused(path: string, file: string): Promise<ParityResult> {
  const name = `preprocessing/bad/${file}: refused with a typed error`;
  try {
    await decodeImage(readFileSync(path));
    return countOf(name, 1);
  } catch (error) {
    return countOf(name, error instanceof ApplicationError ? 0 : 1);
  }
}
