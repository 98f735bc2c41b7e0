import { once } from 'node:events';

/** What a fake service tells those that watch it: everything so far, then what comes. */
export class Updates<T> {
  readonly #target = new EventTarget();
  readonly #items: T[] = [];
  #ended = false;

  push(item: T): void {
    this.#items.push(item);
    this.#target.dispatchEvent(new Event('change'));
  }

  end(): void {
    this.#ended = true;
    this.#target.dispatchEvent(new Event('change'));
  }

  /** @param from items before it are left out. */
  async *follow(signal: AbortSignal, from = 0): AsyncGenerator<T, void, void> {
    for (let i = from; !signal.aborted; ) {
      const item = this.#items[i];
      if (item !== undefined) {
        i += 1;
        yield item;
      } else if (this.#ended) return;
      else await once(this.#target, 'change', { signal }).catch(() => undefined);
    }
  }

  get length(): number {
    return this.#items.length;
  }
}
