import { InvalidInputError, int32, type NdArray } from '@online-cnclip/foundation';
import { NO_PAIR } from '@online-cnclip/network';
import { sharedZeros } from '@online-cnclip/runtime';
import { uniqueKeys } from './pair-keys.ts';

/** Rows of a batch: its images, its texts and, where it is not plain, the keys that mask its loss. */
export interface StepBatch {
  readonly images: NdArray<'float32'>;
  readonly inputIds: NdArray<'int32'>;
  readonly pairKeys: NdArray<'int32'> | undefined;
}

export interface BatchSizes {
  /** Pairs of a plain batch. */
  readonly batchSize: number;
  /** Rows of the program that takes this batch. */
  readonly rows: number;
  readonly contextLength: number;
  /** Of this replica, so that keys that are made up are unlike those of others. */
  readonly rank?: number;
}

/**
 * A batch of exactly `rows` rows; it has keys unless it is plain. Rows that are missing repeat the first pair, so that
 * their features are as finite as its own, and are marked as no pair.
 *
 * @throws InvalidInputError for more rows than fit, none at all, or shapes that do not belong together.
 */
export function fillBatch(
  given: StepBatch,
  { batchSize, rows, contextLength, rank = 0 }: BatchSizes,
): StepBatch {
  const { images, inputIds, pairKeys } = given;
  const pairs = images.shape[0] ?? 0;
  const fits = pairs >= 1 && pairs <= rows;
  if (!fits || inputIds.shape[0] !== pairs || inputIds.shape[1] !== contextLength)
    throw new InvalidInputError(
      `images[${images.shape}] and input_ids[${inputIds.shape}] given, a batch of 1 to ${rows} pairs with ${contextLength} ids each expected`,
    );
  if (pairKeys && pairKeys.shape.join() !== `${pairs},2`)
    throw new InvalidInputError(`pair_keys[${pairKeys.shape}] given, [${pairs},2] expected`);
  if (pairKeys && !hasPair(pairKeys)) throw new InvalidInputError('no row of the batch is a pair');
  if (pairs === batchSize) return given;
  const keys = new Int32Array(rows * 2).fill(NO_PAIR);
  keys.set((pairKeys ?? uniqueKeys(pairs, rank, rows)).data);
  const ids = int32([rows, contextLength], new Int32Array(rows * contextLength));
  return {
    images: repeatFirst(images, sharedZeros([rows, ...images.shape.slice(1)])),
    inputIds: repeatFirst(inputIds, ids),
    pairKeys: int32([rows, 2], keys),
  };
}

const hasPair = ({ data }: NdArray<'int32'>): boolean =>
  data.some((key, i) => i % 2 === 0 && key !== NO_PAIR);

function repeatFirst<A extends NdArray<'float32'> | NdArray<'int32'>>(source: A, target: A): A {
  const width = source.data.length / (source.shape[0] as number);
  target.data.set(source.data as never);
  for (let at = source.data.length; at < target.data.length; at += width)
    target.data.set(source.data.subarray(0, width) as never, at);
  return target;
}
