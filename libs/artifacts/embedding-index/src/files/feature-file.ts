import { open } from 'node:fs/promises';
import { InvalidInputError, replaceFileAtomically } from '@online-cnclip/foundation';
import { int64Of, linesOf, parseObject, show } from './json-lines.ts';

/** The key of the id in each line: Chinese-CLIP's. */
export type FeatureIdKey = 'image_id' | 'text_id';

export interface Feature {
  readonly id: bigint;
  /** float32 `[dimension]`, as written: not necessarily of unit length. */
  readonly feature: Float32Array;
}

/**
 * Features of a file of `{"image_id": 1, "feature": [0.1, ...]}` lines, one at a time.
 *
 * @throws NotFoundError for a missing file, InvalidInputError naming `file:line` when a line is no such object, has
 *   another dimension than the first, or the id of an earlier one.
 */
export async function* readFeatures(path: string, idKey: FeatureIdKey): AsyncGenerator<Feature, void, void> {
  const seen = new Map<bigint, number>();
  let dimension: number | undefined;
  for await (const { text, place, number } of linesOf(path)) {
    const { id, feature } = parseFeature(text, idKey, place);
    dimension ??= feature.length;
    if (feature.length !== dimension)
      throw new InvalidInputError(`has ${feature.length} numbers where the lines before have ${dimension}`, {
        place,
      });
    const before = seen.get(id);
    if (before !== undefined)
      throw new InvalidInputError(`${idKey} ${id} is in line ${before} already`, { place });
    seen.set(id, number);
    yield { id, feature };
  }
}

/** Their ids only, in the file's order. Errors as {@link readFeatures}, but features are not looked at. */
export async function readFeatureIds(path: string, idKey: FeatureIdKey): Promise<bigint[]> {
  // The id stands before the numbers in every file that Chinese-CLIP or we have written; others are parsed whole.
  const leading = new RegExp(`^\\s*\\{\\s*"${idKey}"\\s*:\\s*(-?\\d+)\\s*,`);
  const ids = new Set<bigint>();
  for await (const { text, place } of linesOf(path)) {
    const digits = leading.exec(text)?.[1];
    const id = digits === undefined ? parseFeature(text, idKey, place).id : BigInt(digits);
    if (BigInt.asIntN(64, id) !== id) throw new InvalidInputError(`${idKey} ${id} is no id`, { place });
    if (ids.has(id)) throw new InvalidInputError(`${idKey} ${id} is there twice`, { place });
    ids.add(id);
  }
  return [...ids];
}

/** Writes such a file; the path holds the old file or the whole new one. @returns the number of lines. */
export async function writeFeatures(
  path: string,
  idKey: FeatureIdKey,
  features: AsyncIterable<Feature> | Iterable<Feature>,
): Promise<number> {
  let written = 0;
  await replaceFileAtomically(path, async (temporaryPath) => {
    const file = await open(temporaryPath, 'wx');
    try {
      for await (const { id, feature } of features) {
        await file.writeFile(`{"${idKey}": ${id}, "feature": [${Array.from(feature).join(', ')}]}\n`);
        written++;
      }
    } finally {
      await file.close();
    }
  });
  return written;
}

function parseFeature(text: string, idKey: FeatureIdKey, place: string): Feature {
  const { [idKey]: rawId, feature } = parseObject(text, place);
  const id = int64Of(rawId);
  if (id === undefined)
    throw new InvalidInputError(`${idKey} is ${show(rawId)}, not a whole number`, { place });
  if (!Array.isArray(feature) || feature.length === 0)
    throw new InvalidInputError(`feature is ${show(feature)}, not a list of numbers`, { place });
  const numbers = new Float32Array(feature.length);
  for (const [position, value] of feature.entries()) {
    if (typeof value !== 'number' && typeof value !== 'bigint')
      throw new InvalidInputError(`feature[${position}] is ${show(value)}, not a number`, { place });
    numbers[position] = Number(value);
  }
  return { id, feature: numbers };
}
