export interface InFlightLimits<Item> {
  readonly maxItems: number;
  readonly maxCost: number;
  costOf(item: Item): number;
}

/**
 * Works on items of a stream at the same time and yields results as they come. Takes no further item while the limits
 * are reached by items in work or results not yet taken, so that a slow reader holds the writer back. One item is
 * always let in, whatever it costs.
 *
 * @throws what the items' iterator or the work throws, after which no item is taken.
 */
export async function* mapUnordered<Item, Result>(
  items: AsyncIterable<Item>,
  limits: InFlightLimits<Item>,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const pump = new Pump(limits, work);
  // Errors of the reading are thrown by next(), to whoever takes the results.
  void pump.read(items);
  try {
    for (let next = await pump.next(); next; next = await pump.next()) yield next.result;
  } finally {
    pump.stop();
  }
}

interface Finished<Result> {
  readonly result: Result;
  readonly cost: number;
}

class Pump<Item, Result> {
  readonly #limits: InFlightLimits<Item>;
  readonly #work: (item: Item) => Promise<Result>;
  readonly #finished: Finished<Result>[] = [];
  #items = 0;
  #cost = 0;
  #ended = false;
  #stopped = false;
  #failure: { readonly error: unknown } | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(limits: InFlightLimits<Item>, work: (item: Item) => Promise<Result>) {
    this.#limits = limits;
    this.#work = work;
  }

  async read(items: AsyncIterable<Item>): Promise<void> {
    try {
      for await (const item of items) {
        if (this.#stopped) return;
        this.#begin(item);
        while (this.#isFull() && !this.#stopped) await this.#change();
      }
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#ended = true;
      this.#announce();
    }
  }

  /** The next result; undefined when all items are read and done. */
  async next(): Promise<Finished<Result> | undefined> {
    while (true) {
      if (this.#failure) throw this.#failure.error;
      const finished = this.#finished.shift();
      if (finished) {
        this.#items -= 1;
        this.#cost -= finished.cost;
        this.#announce();
        return finished;
      }
      if (this.#ended && this.#items === 0) return undefined;
      await this.#change();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#announce();
  }

  #begin(item: Item): void {
    const cost = this.#limits.costOf(item);
    this.#items += 1;
    this.#cost += cost;
    this.#work(item)
      .then((result) => this.#finished.push({ result, cost }))
      .catch((error) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#announce());
  }

  #isFull(): boolean {
    return this.#items >= this.#limits.maxItems || this.#cost >= this.#limits.maxCost;
  }

  #change(): Promise<void> {
    return this.#changed.promise;
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
