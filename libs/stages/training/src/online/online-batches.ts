import { float32, InvalidInputError, type NdArray } from '@online-cnclip/foundation';
import { sharedZeros } from '@online-cnclip/runtime';
import { BATCHES_AHEAD, type DecodeImage, type EncodeTexts } from '../pair-loader.ts';
import { type ImageAnswer, type ImageQuery, type ImageSource, MISSING } from './image-source.ts';
import { duplicateKeys, keyOf } from './pair-keys.ts';
import { readAhead } from './read-ahead.ts';
import type { Replay } from './replay.ts';

/** Queries that are stepped on together. */
export interface QueryBatch {
  readonly texts: readonly string[];
  /** Which image of each query is wanted, from 1. */
  readonly number: number;
}

/** The pairs of one online step. */
export interface OnlinePairs {
  /** float32 `[pairs + replayed, 3, resolution, resolution]` */
  readonly images: NdArray<'float32'>;
  /** int32 `[pairs + replayed, context]` */
  readonly inputIds: NdArray<'int32'>;
  readonly pairKeys?: NdArray<'int32'>;
}

export interface OnlineBatch {
  readonly texts: readonly string[];
  /** Absent where no query of the batch has an image. */
  readonly step?: OnlinePairs;
  /** Queries with an image. */
  readonly pairs: number;
  readonly cached: number;
  readonly replayed: number;
  /** Queries without an image, by reason. */
  readonly leftOut: ReadonlyMap<string, number>;
}

export interface OnlineBatchOptions {
  readonly source: ImageSource;
  readonly decode: DecodeImage;
  readonly encode: EncodeTexts;
  readonly resolution: number;
  /** Images fetched per query in all. */
  readonly imagesPerQuery: number;
  readonly maskDuplicates: boolean;
  /** Pairs of the training set per new pair; `from` is where its order goes on. */
  readonly replay?: { readonly pairs: Replay; readonly ratio: number; readonly from: number } | undefined;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

interface Pair {
  readonly text: string;
  readonly file: Uint8Array;
  readonly pixels: Float32Array;
}

/** Rows of a step on `queries` new pairs at most. */
export const onlineStepRows = (queries: number, replayRatio: number): number =>
  queries + replayedFor(queries, replayRatio);

const replayedFor = (pairs: number, ratio: number): number => Math.round(pairs * ratio);

/**
 * Batches ready for their steps, in the order of the queries. Images are fetched and decoded ahead: while a batch
 * computes the next two are prepared, and the source may be further still.
 *
 * @throws as the source does; the signal's reason.
 */
export function onlineBatches(
  batches: Iterable<QueryBatch>,
  options: OnlineBatchOptions,
): AsyncGenerator<OnlineBatch, void, undefined> {
  return readAhead(prepare(batches, options), BATCHES_AHEAD);
}

async function* prepare(
  batches: Iterable<QueryBatch>,
  options: OnlineBatchOptions,
): AsyncGenerator<OnlineBatch, void, undefined> {
  const { source, imagesPerQuery, signal, replay } = options;
  const pending: QueryBatch[] = [];
  const queries = queriesOf(batches, imagesPerQuery, pending);
  let replayed = replay?.from ?? 0;
  let answers: ImageAnswer[] = [];
  for await (const answer of source.images(queries, signal)) {
    answers.push(answer);
    const batch = pending[0] as QueryBatch;
    if (answers.length < batch.texts.length) continue;
    pending.shift();
    const ready = await prepareBatch(batch, answers, replayed, options);
    replayed += ready.replayed;
    answers = [];
    yield ready;
  }
}

/** One query after the other; the batches that they are of are noted in `pending`. */
function* queriesOf(
  batches: Iterable<QueryBatch>,
  of: number,
  pending: QueryBatch[],
): Generator<ImageQuery, void, undefined> {
  for (const batch of batches) {
    pending.push(batch);
    for (const text of batch.texts) yield { text, number: batch.number, of };
  }
}

async function prepareBatch(
  { texts }: QueryBatch,
  answers: readonly ImageAnswer[],
  replayFrom: number,
  options: OnlineBatchOptions,
): Promise<OnlineBatch> {
  const leftOut = new Map<string, number>();
  const leaveOut = (reason: string) => leftOut.set(reason, (leftOut.get(reason) ?? 0) + 1);
  const decoded = await Promise.all(
    texts.map(async (text, i): Promise<(Pair & { cached: boolean }) | undefined> => {
      const answer = answers[i] as ImageAnswer;
      const pixels = 'file' in answer ? await decodeOrNot(answer.file, options) : undefined;
      if ('file' in answer && pixels) return { text, file: answer.file, cached: answer.cached, pixels };
      leaveOut('missing' in answer ? answer.missing : MISSING.damaged);
      return undefined;
    }),
  );
  const pairs = decoded.filter((pair) => pair !== undefined);
  const count = options.replay ? replayedFor(pairs.length, options.replay.ratio) : 0;
  const replayed = count > 0 ? ((await options.replay?.pairs.take(replayFrom, count)) ?? []) : [];
  const cached = pairs.filter((pair) => pair.cached).length;
  const counts = { texts, pairs: pairs.length, cached, replayed: replayed.length, leftOut };
  return pairs.length === 0 ? counts : { ...counts, step: stepPairs([...pairs, ...replayed], options) };
}

/** A file that is no image is a query without one; anything else that goes wrong is not hidden. */
async function decodeOrNot(
  file: Uint8Array,
  { decode, seed }: OnlineBatchOptions,
): Promise<Float32Array | undefined> {
  try {
    return await decode(file, seed);
  } catch (error) {
    if (error instanceof InvalidInputError) return undefined;
    throw error;
  }
}

function stepPairs(pairs: readonly Pair[], options: OnlineBatchOptions): OnlinePairs {
  const { resolution, encode, maskDuplicates } = options;
  // Shared, so that the runtime's thread takes the batch without a copy.
  const images = sharedZeros([pairs.length, 3, resolution, resolution]);
  for (const [row, { pixels }] of pairs.entries()) images.data.set(pixels, row * pixels.length);
  const inputIds = encode(pairs.map(({ text }) => text));
  if (!maskDuplicates) return { images: float32(images.shape, images.data), inputIds };
  const imageKeys = pairs.map(({ file }) => keyOf(file));
  return { images, inputIds, pairKeys: duplicateKeys(imageKeys, inputIds) };
}
