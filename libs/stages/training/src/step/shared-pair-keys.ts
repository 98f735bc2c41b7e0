import type { Collectives } from '@online-cnclip/collectives';
import { int32, type NdArray } from '@online-cnclip/foundation';

/** Keys for pairs that came without: beyond those that callers count from 0. */
export const FIRST_UNIQUE_KEY = 2 ** 30;

/** Keys of pairs that have nothing in common with any other of the global batch. int32 `[pairs, 2]` */
export function uniqueKeys(pairs: number, rank: number, batchSize: number): NdArray<'int32'> {
  const first = FIRST_UNIQUE_KEY + rank * batchSize;
  return int32(
    [pairs, 2],
    Int32Array.from({ length: 2 * pairs }, (_, i) => first + (i >> 1)),
  );
}

/**
 * The keys of the pairs that the loss is over. A replica whose own batch is plain takes part in the masked program all the same when
 * another's is not: all replicas run the same one.
 *
 * @param own int32 `[batch, 2]`, or absent for a plain batch
 * @returns absent where every replica's batch is plain
 */
export async function sharePairKeys(
  own: NdArray<'int32'> | undefined,
  collectives: Collectives,
  batchSize: number,
  aggregate: boolean,
): Promise<NdArray<'int32'> | undefined> {
  const { rank, worldSize } = collectives;
  if (worldSize === 1) return own;
  const keys = own ?? uniqueKeys(batchSize, rank, batchSize);
  const row = 1 + 2 * batchSize;
  const sent = new Int32Array(row);
  sent[0] = own ? 1 : 0;
  sent.set(keys.data, 1);
  const received = new Int32Array(worldSize * row);
  // Bits are carried, not numbers: an all-gather only moves them.
  await collectives.allGather(new Float32Array(sent.buffer), new Float32Array(received.buffer));
  const rows = Array.from({ length: worldSize }, (_, i) => received.subarray(i * row, (i + 1) * row));
  if (rows.every((data) => data[0] === 0)) return undefined;
  if (!aggregate) return keys;
  const all = new Int32Array(worldSize * 2 * batchSize);
  rows.forEach((data, i) => {
    all.set(data.subarray(1), i * 2 * batchSize);
  });
  return int32([worldSize * batchSize, 2], all);
}
