import { abortError, throwIfAborted } from '@online-cnclip/foundation';

interface Waiter {
  readonly enter: () => void;
}

/** Lets a fixed number of holders in at a time, in the order they came. */
export class Gate {
  #free: number;
  readonly #waiting = new Set<Waiter>();

  constructor(permits: number) {
    this.#free = permits;
  }

  /** Runs the work while holding a permit. @throws the signal's reason when it is aborted while waiting. */
  async hold<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #enter(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const waiter = {
        enter: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = () => {
        this.#waiting.delete(waiter);
        reject(abortError(signal as AbortSignal));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next.enter();
  }
}
