import { setTimeout as sleep } from 'node:timers/promises';
import { abortError } from '@online-cnclip/foundation';

export interface BucketOptions {
  /** Time between two tokens. */
  readonly intervalMs: number;
  /** Added to each interval, evenly from nothing to this much: no clockwork. */
  readonly jitterMs: number;
  readonly now?: () => number;
  readonly random?: () => number;
}

/**
 * What one domain is asked, whoever asks: one token at a time, an interval with jitter apart, none while the domain is
 * left alone. There is no burst: time in which nothing was asked is not made up for.
 */
export class TokenBucket {
  readonly #options: Required<BucketOptions>;
  #nextAt = 0;
  #resumeAt = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(options: BucketOptions) {
    this.#options = { now: Date.now, random: Math.random, ...options };
  }

  /** Until when the domain is left alone; in the past when it is not. */
  get resumeAt(): number {
    return this.#resumeAt;
  }

  /** Leaves the domain alone until then, or longer where that was said before. */
  pauseUntil(time: number): void {
    this.#resumeAt = Math.max(this.#resumeAt, time);
  }

  /** As if a token had just been taken: by a process before this one, for all that is known. */
  waitFirst(): void {
    const { now, random, intervalMs, jitterMs } = this.#options;
    this.#nextAt = now() + intervalMs + random() * jitterMs;
  }

  /** Resolves when it is the caller's turn, first come, first served. @throws the signal's reason. */
  take(signal: AbortSignal): Promise<void> {
    const turn = this.#tail.then(() => this.#wait(signal));
    this.#tail = turn.catch(() => {});
    return turn;
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { now, intervalMs, jitterMs } = this.#options;
    for (;;) {
      if (signal.aborted) throw abortError(signal);
      // A clock that was set back would have everybody wait for it to come back here: an interval is enough.
      this.#nextAt = Math.min(this.#nextAt, now() + intervalMs + jitterMs);
      // Looked at again after each sleep: the domain may have asked for more time meanwhile.
      const waitMs = Math.max(this.#nextAt, this.#resumeAt) - now();
      if (waitMs <= 0) break;
      await sleep(Math.min(waitMs, MAX_SLEEP_MS), undefined, { signal }).catch(() => {});
    }
    this.waitFirst();
  }
}

/** A pause may be ended by a clock that is set, and timers take no more than 2^31 ms. */
const MAX_SLEEP_MS = 60_000;
