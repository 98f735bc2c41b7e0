/**
 * Many readers or one writer, in the order they came: a writer waits for the readers before it and is waited for by
 * those after it, so that neither starves.
 */
export class SharedLock {
  /** Settled when everything up to and including the last writer has ended. */
  #lastWriter: Promise<unknown> = Promise.resolve();
  #readersSince: Promise<unknown>[] = [];

  read<T>(work: () => Promise<T>): Promise<T> {
    const running = this.#lastWriter.then(work);
    const ended = settled(running);
    this.#readersSince.push(ended);
    ended.then(() => {
      this.#readersSince = this.#readersSince.filter((reader) => reader !== ended);
    });
    return running;
  }

  write<T>(work: () => Promise<T> | T): Promise<T> {
    const before = Promise.all([this.#lastWriter, ...this.#readersSince]);
    const running = before.then(work);
    this.#lastWriter = settled(running);
    this.#readersSince = [];
    return running;
  }
}

const settled = (promise: Promise<unknown>): Promise<void> => promise.then(ignore, ignore);
const ignore = (): void => {};
