import { ResourceExhaustedError } from '@online-cnclip/foundation';

// Limits of the wire, the same on both ends so that neither sends what the other refuses.

/** One message: a batch of 64 images of 1 MiB, the largest batch a client has reason to send. */
export const DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** Items in one message of a batch method: bounds what one call can hold of a queue that others share. */
export const MAX_BATCH_ITEMS = 1024;

/** Best items per query that Search and Ensemble give. */
export const MAX_TOP_K = 1000;

/** What `top_k: 0` means: the ten that the research code's predictions hold. */
export const DEFAULT_TOP_K = 10;

/** A ping after so long without data finds a peer that died without a word. */
export const KEEPALIVE_TIME_MS = 30_000;

/** How long a ping may stay unanswered: several times the pause of a process that computes on all cores. */
export const KEEPALIVE_TIMEOUT_MS = 20_000;

/** @throws ResourceExhaustedError when a batch holds more than {@link MAX_BATCH_ITEMS}. */
export function requireBatchSize(count: number, place: string, limit = MAX_BATCH_ITEMS): void {
  if (count > limit)
    throw new ResourceExhaustedError(`${count} items in one batch, at most ${limit}`, { place });
}
