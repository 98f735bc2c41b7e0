import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '@online-cnclip/foundation';
import { MAX_SLICE_MS } from './limits.ts';

/** Divides a long computation into slices: one of these goes through the whole of it, however many parts it has. */
export class EventLoopTurns {
  readonly #signal: AbortSignal | undefined;
  #sliceEnd = performance.now() + MAX_SLICE_MS;

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether the slice has lasted long enough: {@link take} is due. */
  get due(): boolean {
    return performance.now() > this.#sliceEnd;
  }

  /** Lets everything else have its turn. @throws the signal's reason when it has aborted. */
  async take(): Promise<void> {
    await setImmediate();
    throwIfAborted(this.#signal);
    this.#sliceEnd = performance.now() + MAX_SLICE_MS;
  }
}
