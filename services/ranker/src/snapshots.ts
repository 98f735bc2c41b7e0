import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@online-cnclip/foundation';
import type { IndexCatalog } from '@online-cnclip/retrieval';

export interface SnapshotOptions {
  readonly intervalMs: number;
  readonly logger: Logger;
  /** Called with the time that saving took. */
  readonly onSaved?: (durationMs: number) => void;
}

/** Saves changed indexes from time to time, and once more at the end. */
export class Snapshots {
  readonly #catalog: IndexCatalog;
  readonly #options: SnapshotOptions;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  constructor(catalog: IndexCatalog, options: SnapshotOptions) {
    this.#catalog = catalog;
    this.#options = options;
    this.#loop = this.#run();
  }

  /** @throws what the last saving throws: the process must not end as if nothing was lost. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await this.#save();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleep(this.#options.intervalMs, undefined, { signal, ref: false }).catch(() => {}); // Woken by close().
      if (signal.aborted) return;
      // The next interval tries again: a full disk may have room by then.
      await this.#save().catch((error) =>
        this.#options.logger.error({ err: error }, 'indexes were not saved'),
      );
    }
  }

  async #save(): Promise<void> {
    const started = performance.now();
    const saved = await this.#catalog.saveChanged();
    if (saved.length === 0) return;
    const durationMs = performance.now() - started;
    this.#options.onSaved?.(durationMs);
    this.#options.logger.info({ indexes: saved, durationMs: Math.round(durationMs) }, 'indexes saved');
  }
}
