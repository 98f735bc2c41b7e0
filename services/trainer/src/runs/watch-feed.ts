import { ResourceExhaustedError, throwIfAborted } from '@online-cnclip/foundation';
import type { GateEvent, OnlineStepEvent, StepEvent, ValidationEvent } from '@online-cnclip/training';
import { isGoingOn, type RunRecord, type SavedCheckpoint } from './run-record.ts';

/** What a watcher is told. The record comes at each change of state; the last one is final. */
export type RunUpdate = { readonly at: number } & (
  | { readonly kind: 'record'; readonly record: RunRecord }
  | StepEvent
  | OnlineStepEvent
  | GateEvent
  | ValidationEvent
  | SavedCheckpoint
);

/** Step reports that a slow watcher may be behind; older ones are dropped. */
const MAX_PENDING_STEPS = 100;
/** Other events are never dropped: a watcher that is this far behind does not read at all. */
const MAX_PENDING_OTHERS = 1_000;

const isStep = ({ kind }: RunUpdate): boolean => kind === 'step' || kind === 'online-step';

/** The updates of one run to its watchers, each at its own pace. */
export class WatchFeed {
  readonly #watchers = new Set<Watcher>();

  publish(update: RunUpdate): void {
    for (const watcher of this.#watchers) watcher.push(update);
  }

  /**
   * The record of now, then updates as they happen; ends after a final record.
   *
   * @throws the signal's reason; ResourceExhaustedError when the watcher does not read.
   */
  async *watch(current: RunRecord, signal: AbortSignal): AsyncGenerator<RunUpdate, void, undefined> {
    const watcher = new Watcher();
    watcher.push({ kind: 'record', at: Date.now(), record: current });
    this.#watchers.add(watcher);
    const wake = () => watcher.wake();
    signal.addEventListener('abort', wake);
    try {
      while (true) {
        const update = await watcher.next(signal);
        yield update;
        if (update.kind === 'record' && !isGoingOn(update.record)) return;
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#watchers.delete(watcher);
    }
  }
}

class Watcher {
  #pending: RunUpdate[] = [];
  #steps = 0;
  #lost = false;
  #waiting = Promise.withResolvers<void>();

  push(update: RunUpdate): void {
    if (this.#lost) return;
    this.#pending.push(update);
    if (isStep(update) && ++this.#steps > MAX_PENDING_STEPS) {
      const oldest = this.#pending.findIndex(isStep);
      this.#pending.splice(oldest, 1);
      this.#steps--;
    }
    if (this.#pending.length - this.#steps > MAX_PENDING_OTHERS) {
      this.#lost = true;
      this.#pending = [];
    }
    this.wake();
  }

  wake(): void {
    this.#waiting.resolve();
  }

  async next(signal: AbortSignal): Promise<RunUpdate> {
    while (true) {
      throwIfAborted(signal);
      if (this.#lost)
        throw new ResourceExhaustedError('the watcher does not keep up with the run; watch it again');
      const update = this.#pending.shift();
      if (update) {
        if (isStep(update)) this.#steps--;
        return update;
      }
      this.#waiting = Promise.withResolvers<void>();
      await this.#waiting.promise;
    }
  }
}
