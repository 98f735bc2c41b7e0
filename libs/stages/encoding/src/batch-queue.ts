import { abortError, type NoteWork, throwIfAborted, UnavailableError } from '@online-cnclip/foundation';

export interface BatchQueueOptions<Item, Result> {
  /** Oldest items that `choose` sees; bounds how far a later item may overtake an earlier one. */
  readonly window: number;
  /**
   * Indices of the next batch among the oldest waiting items (at least one item, oldest first). The batch must hold
   * index 0: that the oldest always goes is what keeps any item from starving.
   */
  choose(waiting: readonly Item[]): readonly number[];
  /** Computes one batch: one result per item, in order. Never called again before its promise is settled. */
  run(batch: readonly Item[]): Promise<readonly Result[]>;
  /** Called after each batch, with what was in it. */
  onBatch?(batch: BatchRecord, items: readonly Item[]): void;
}

export interface BatchRecord {
  readonly items: number;
  /** How long the oldest item waited before the run. */
  readonly waitMs: number;
  readonly runMs: number;
}

interface Entry<Item, Result> {
  readonly item: Item;
  readonly queuedAt: number;
  readonly note: NoteWork | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  readonly stopListening: () => void;
}

/**
 * Computes items of many callers in shared batches, one batch at a time. When nothing is running an item starts at
 * once (at the end of the current turn of the event loop, so that what arrived together runs together); while a batch
 * runs the next one gathers. An item whose signal is aborted leaves before it is computed.
 */
export class BatchQueue<Item, Result> {
  readonly #options: BatchQueueOptions<Item, Result>;
  #waiting: Entry<Item, Result>[] = [];
  #active = false;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(options: BatchQueueOptions<Item, Result>) {
    this.#options = options;
  }

  /** Items that wait, without those being computed. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * @param note told of the wait and of the run; items with the same one are told of together.
   * @returns the item's result.
   * @throws the signal's reason as soon as it is aborted (a result that comes later is dropped); the run's error;
   *   UnavailableError once the queue is closed.
   */
  submit(item: Item, signal?: AbortSignal, note?: NoteWork): Promise<Result> {
    return new Promise((resolve, reject) => {
      throwIfAborted(signal);
      if (this.#closed) throw new UnavailableError('the queue is closed');
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== entry);
        reject(abortError(signal as AbortSignal));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const stopListening = () => signal?.removeEventListener('abort', onAbort);
      const entry = { item, queuedAt: performance.now(), note, resolve, reject, stopListening };
      this.#waiting.push(entry);
      this.#start();
    });
  }

  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#announceIdle();
    });
  }

  /** Refuses new items and waits for the accepted ones. */
  close(): Promise<void> {
    this.#closed = true;
    return this.idle();
  }

  #start(): void {
    if (this.#active) return;
    this.#active = true;
    setImmediate(() => void this.#drain());
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) await this.#runBatch(this.#takeBatch());
    this.#active = false;
    this.#announceIdle();
  }

  #takeBatch(): Entry<Item, Result>[] {
    const window = this.#waiting.slice(0, this.#options.window);
    const chosen = new Set(this.#options.choose(window.map((entry) => entry.item)));
    chosen.add(0);
    const batch = window.filter((_, index) => chosen.has(index));
    this.#waiting = this.#waiting.filter((_, index) => !chosen.has(index));
    return batch;
  }

  async #runBatch(batch: readonly Entry<Item, Result>[]): Promise<void> {
    const startedAt = performance.now();
    try {
      const results = await this.#options.run(batch.map((entry) => entry.item));
      if (results.length !== batch.length)
        throw new Error(`a batch of ${batch.length} items gave ${results.length} results`);
      // A promise only queues its callbacks: the next batch starts before any of them is called.
      batch.forEach((entry, index) => {
        entry.resolve(results[index] as Result);
      });
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    } finally {
      for (const entry of batch) entry.stopListening();
    }
    const endedAt = performance.now();
    noteBatch(batch, startedAt, endedAt);
    const waitMs = startedAt - (batch[0]?.queuedAt ?? startedAt);
    const record = { items: batch.length, waitMs, runMs: endedAt - startedAt };
    this.#options.onBatch?.(
      record,
      batch.map(({ item }) => item),
    );
  }

  #announceIdle(): void {
    if (this.#active) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** Tells each call in the batch how long its first item waited, and of the run that it shared. */
function noteBatch(
  batch: readonly Pick<Entry<unknown, unknown>, 'note' | 'queuedAt'>[],
  startedAt: number,
  endedAt: number,
): void {
  const waitedSince = new Map<NoteWork, number>();
  for (const { note, queuedAt } of batch) if (note && !waitedSince.has(note)) waitedSince.set(note, queuedAt);
  for (const [note, queuedAt] of waitedSince) {
    note({ name: 'batch wait', startedAt: queuedAt, endedAt: startedAt });
    note({ name: 'compute', startedAt, endedAt, attributes: { items: batch.length } });
  }
}
