import { createHash } from 'node:crypto';
import { int32, type NdArray } from '@online-cnclip/foundation';

const LARGEST_KEY = 0x7fffffff;

/** 31 bits of a hash: two things that differ share a key once in two thousand million, and then miss one negative. */
export function keyOf(content: Uint8Array | string): number {
  return createHash('sha1').update(content).digest().readUInt32BE(0) & LARGEST_KEY;
}

/**
 * Keys that say which pairs of a batch have the same image or the same text, int32 `[pairs, 2]`.
 *
 * @param imageKeys one per pair. @param inputIds int32 `[pairs, context]`: texts are the same when their tokens are.
 */
export function duplicateKeys(imageKeys: readonly number[], inputIds: NdArray<'int32'>): NdArray<'int32'> {
  const [pairs = 0, length = 0] = inputIds.shape;
  const keys = new Int32Array(pairs * 2);
  for (let row = 0; row < pairs; row++) {
    const ids = inputIds.data.subarray(row * length, (row + 1) * length);
    keys[row * 2] = imageKeys[row] as number;
    keys[row * 2 + 1] = keyOf(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  return int32([pairs, 2], keys);
}
