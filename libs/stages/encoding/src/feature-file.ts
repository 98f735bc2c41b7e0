import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import {
  type ApplicationError,
  InvalidInputError,
  replaceFileAtomically,
  throwIfAborted,
} from '@online-cnclip/foundation';
import type { Outcome } from './outcome.ts';

/** One thing to encode, by the id that its feature is stored under. */
export interface FeatureSource<Input> {
  /** A 64-bit integer; in decimal where it is a string. */
  readonly id: string | number | bigint;
  readonly input: Input;
}

export interface FeatureFileOptions<Input> {
  /** Replaced when the last feature is written; an interrupted run leaves what was there. */
  readonly path: string;
  /** The key of the id in each line: Chinese-CLIP's. */
  readonly idKey: 'image_id' | 'text_id';
  readonly sources: AsyncIterable<FeatureSource<Input>> | Iterable<FeatureSource<Input>>;
  readonly encode: (
    inputs: readonly Input[],
    signal?: AbortSignal,
  ) => Promise<readonly Outcome<Float32Array>[]>;
  /** Inputs given to `encode` at once; two such groups are under way at a time. */
  readonly groupSize: number;
  /** Called with the number of features written so far. */
  readonly onProgress?: ((written: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Groups under way: while one is computed the next is read and decoded. */
const GROUPS_AHEAD = 2;

/**
 * Encodes a stream of inputs into a file of features as Chinese-CLIP's extract_features writes it: per line
 * `{"image_id": 1, "feature": [0.1, ...]}`, normalised, in the order of the sources.
 *
 * @returns number of features written.
 * @throws InvalidInputError naming the id of an input that cannot be encoded (a gap would go unnoticed); the signal's
 *   reason once it is aborted. Nothing is left behind then.
 */
export async function writeFeatureFile<Input>(options: FeatureFileOptions<Input>): Promise<number> {
  let written = 0;
  async function* lines(): AsyncGenerator<string> {
    for await (const group of encodeGroups(options)) {
      yield group.lines;
      written += group.size;
      options.onProgress?.(written);
    }
  }
  await replaceFileAtomically(options.path, (temporaryPath) =>
    pipeline(lines, createWriteStream(temporaryPath)),
  );
  return written;
}

interface EncodedGroup {
  readonly size: number;
  readonly lines: string;
}

/** Groups in order, with the next ones already under way. */
async function* encodeGroups<Input>(options: FeatureFileOptions<Input>): AsyncGenerator<EncodedGroup> {
  const ahead: Promise<EncodedGroup>[] = [];
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  try {
    for await (const group of groupsOf(options.sources, options.groupSize)) {
      throwIfAborted(options.signal);
      const encoded = encodeGroup(group, options, signal);
      encoded.catch(() => {}); // It is heard when its turn comes, unless an earlier one has failed.
      ahead.push(encoded);
      if (ahead.length === GROUPS_AHEAD) yield (await ahead.shift()) as EncodedGroup;
    }
    for (const encoded of ahead) yield await encoded;
  } finally {
    stop.abort();
  }
}

async function encodeGroup<Input>(
  group: readonly FeatureSource<Input>[],
  { idKey, encode }: FeatureFileOptions<Input>,
  signal: AbortSignal,
): Promise<EncodedGroup> {
  const inputs = group.map(({ input }) => input);
  const outcomes = await encode(inputs, signal);
  const lines = group.map(({ id }, index) => {
    const outcome = outcomes[index] as Outcome<Float32Array>;
    if (!outcome.ok) throw named(outcome.error, `${idKey} ${id}`);
    return `{"${idKey}": ${id}, "feature": [${Array.from(outcome.value).join(', ')}]}\n`;
  });
  return { size: group.length, lines: lines.join('') };
}

async function* groupsOf<T>(items: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const item of items) {
    group.push(item);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

const named = (cause: Error, place: string): ApplicationError =>
  new InvalidInputError(`cannot be encoded: ${cause.message}`, { place, cause });
