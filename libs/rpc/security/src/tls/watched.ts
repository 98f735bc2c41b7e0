import { type Logger, messageOf } from '@online-cnclip/foundation';
import { readFiles } from './files.ts';

/**
 * Between two looks at the files. Looking beats being told: Kubernetes replaces a folder of symbolic links, mounts of other kinds
 * say nothing at all, and the files are a few kilobytes.
 */
export const DEFAULT_POLL_INTERVAL_MS = 2_000;

export interface WatchOptions {
  readonly logger: Logger;
  readonly pollIntervalMs?: number;
}

/** What is made of some files, made anew whenever their content changes. */
export class Watched<T> {
  readonly #paths: readonly string[];
  readonly #make: (contents: readonly Buffer[]) => T;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  readonly #listeners = new Set<(value: T) => void>();
  #seen: readonly Buffer[];
  #current: T;
  #problem: string | undefined;
  #looking = false;

  private constructor(
    paths: readonly string[],
    make: (contents: readonly Buffer[]) => T,
    contents: readonly Buffer[],
    { logger, pollIntervalMs = DEFAULT_POLL_INTERVAL_MS }: WatchOptions,
  ) {
    this.#paths = paths;
    this.#make = make;
    this.#logger = logger;
    this.#seen = contents;
    this.#current = make(contents);
    this.#timer = setInterval(() => void this.look(), pollIntervalMs).unref();
  }

  /** @throws InvalidInputError when a file cannot be read; whatever `make` throws. */
  static async open<T>(
    paths: readonly string[],
    make: (contents: readonly Buffer[]) => T,
    options: WatchOptions,
  ): Promise<Watched<T>> {
    return new Watched(paths, make, await readFiles(paths), options);
  }

  get current(): T {
    return this.#current;
  }

  /** @returns what ends it. */
  onChange(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Looks now. What cannot be used is logged, once, and leaves in force what was before: also the moment in which one of
   * several files is new and another not yet.
   */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const contents = await readFiles(this.#paths);
      if (contents.every((content, i) => this.#seen[i]?.equals(content))) return;
      this.#seen = contents;
      this.#current = this.#make(contents);
      this.#problem = undefined;
      this.#logger.info({ files: this.#paths }, 'security files changed: the new ones are in force');
      for (const listener of this.#listeners) listener(this.#current);
    } catch (error) {
      this.#report(messageOf(error));
    } finally {
      this.#looking = false;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  #report(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#logger.error(
      { files: this.#paths },
      `security files cannot be used, the old ones stay: ${problem}`,
    );
  }
}
