import { abortError, ResourceExhaustedError } from '@online-cnclip/foundation';

/** A bounded number of holders at a time, and a bounded queue of those who wait, first come, first served. */
export class Slots {
  #free: number;
  readonly #total: number;
  readonly #maxQueued: number;
  readonly #waiting = new Set<() => void>();
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(total: number, maxQueued: number) {
    this.#free = total;
    this.#total = total;
    this.#maxQueued = maxQueued;
  }

  /**
   * @returns what gives the slot back.
   * @throws ResourceExhaustedError when the queue is full, or the signal's error when it is aborted while waiting.
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    return () => this.#giveBack();
  }

  /** Resolves when nobody holds a slot or waits for one. */
  async whenIdle(): Promise<void> {
    if (this.#free === this.#total) return;
    this.#idle ??= Promise.withResolvers();
    await this.#idle.promise;
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= this.#maxQueued)
      throw new ResourceExhaustedError(`${this.#waiting.size} images wait already, no more are accepted`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => {
      this.#waiting.delete(proceed);
      reject(abortError(signal as AbortSignal));
    };
    const proceed = (): void => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    };
    this.#waiting.add(proceed);
    signal?.addEventListener('abort', onAbort, { once: true });
    return promise;
  }

  /** To the one who has waited longest, else back to the free ones. */
  #giveBack(): void {
    const next = this.#waiting.values().next();
    if (!next.done) {
      this.#waiting.delete(next.value);
      next.value();
      return;
    }
    this.#free++;
    if (this.#free === this.#total) this.#idle?.resolve();
  }
}
