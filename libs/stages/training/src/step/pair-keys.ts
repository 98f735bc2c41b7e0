import type { Collectives } from '@online-cnclip/collectives';
import { int32, type NdArray } from '@online-cnclip/foundation';

/** Keys for pairs that came without: beyond those that callers count from 0. */
const FIRST_UNIQUE_KEY = 2 ** 30;

/** Keys of pairs that have nothing in common with any other of the global batch. int32 `[pairs, 2]` */
export function uniqueKeys(pairs: number, rank: number, rows: number): NdArray<'int32'> {
  const first = FIRST_UNIQUE_KEY + rank * rows;
  return int32(
    [pairs, 2],
    Int32Array.from({ length: 2 * pairs }, (_, i) => first + (i >> 1)),
  );
}

/**
 * The keys of every replica's pairs, in the order of ranks.
 *
 * @param own int32 `[rows, 2]`, the same shape on every replica
 * @returns int32 `[worldSize * rows, 2]`
 */
export async function gatherPairKeys(
  own: NdArray<'int32'>,
  collectives: Collectives,
): Promise<NdArray<'int32'>> {
  const sent = own.data.slice();
  const received = new Int32Array(collectives.worldSize * sent.length);
  // Bits are carried, not numbers: an all-gather only moves them.
  await collectives.allGather(new Float32Array(sent.buffer), new Float32Array(received.buffer));
  return int32([received.length / 2, 2], received);
}
