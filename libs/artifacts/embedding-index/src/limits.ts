import { InvalidInputError } from '@online-cnclip/foundation';

/** Numbers per vector: several times the widest published CLIP (1,280), so that a damaged header is noticed. */
export const MAX_DIMENSION = 16_384;

/** Items of one index, where nothing else is said: at 512 numbers 0.6 GB in memory and 2 GB on disk. */
export const DEFAULT_MAX_ITEMS = 1_000_000;

/** Each index is an open file, and one to look after. */
export const MAX_INDEXES = 256;

/** Best items per query. */
export const MAX_TOP_K = 1_000;

/** Queries scored in one pass over the vectors: enough to compute longer than to read, few enough to stay in a core's cache. */
export const MAX_QUERIES_PER_PASS = 64;

/** Longest piece of work between two turns of the event loop: health checks and cancellations are heard in between. */
export const MAX_SLICE_MS = 10;

/** @throws InvalidInputError when it is no whole number from 1 to MAX_TOP_K. */
export function requireTopK(topK: number, place = 'topK'): void {
  if (!Number.isInteger(topK) || topK < 1 || topK > MAX_TOP_K)
    throw new InvalidInputError(`${topK} is not a whole number from 1 to ${MAX_TOP_K}`, { place });
}
