import { type ApplicationError, abortError } from '@online-cnclip/foundation';

/** Events for one reader, who takes them at its own pace. */
export class Mailbox<T> {
  readonly #events: T[] = [];
  #end: { readonly error?: ApplicationError } | undefined;
  #changed = Promise.withResolvers<void>();

  push(event: T): void {
    this.#events.push(event);
    this.#changed.resolve();
  }

  /** The reader gets what is there, then the error, or the end. */
  end(error?: ApplicationError): void {
    this.#end ??= error ? { error } : {};
    this.#changed.resolve();
  }

  /** @throws the signal's reason, or the error that the mailbox ended with. */
  async *read(signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    const wake = () => this.#changed.resolve();
    signal.addEventListener('abort', wake);
    try {
      while (true) {
        if (signal.aborted) throw abortError(signal);
        const event = this.#events.shift();
        if (event !== undefined) {
          yield event;
        } else if (this.#end) {
          if (this.#end.error) throw this.#end.error;
          return;
        } else {
          this.#changed = Promise.withResolvers<void>();
          await this.#changed.promise;
        }
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }
}
