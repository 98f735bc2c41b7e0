import type { IndexCatalog } from '@online-cnclip/retrieval';

/** An engine on another machine is asked no more often than this; a cost need not be exact. */
const MAX_AGE_MS = 5_000;

interface Count {
  readonly items: number;
  readonly readAtMs: number;
}

/** Items by index or alias as they were a moment ago: what a search costs has to be known before anything is awaited. */
export class ItemCounts {
  readonly #catalog: IndexCatalog;
  readonly #counts = new Map<string, Count>();

  constructor(catalog: IndexCatalog) {
    this.#catalog = catalog;
  }

  /** 0 of an index that there is not, or that was never asked for before. */
  of(name: string): number {
    const count = this.#counts.get(name);
    if (!count || performance.now() - count.readAtMs > MAX_AGE_MS) this.#read(name);
    return count?.items ?? 0;
  }

  /** Reads the counts of every index, so that the first search of each is charged rightly. */
  async readAll(): Promise<void> {
    const names = (await this.#catalog.list()).map(({ name }) => name);
    await Promise.all([...names, ...(await this.#catalog.aliases()).keys()].map((name) => this.#read(name)));
  }

  async #read(name: string): Promise<void> {
    try {
      const index = await this.#catalog.get(name);
      this.#counts.set(name, { items: await index.count(), readAtMs: performance.now() });
    } catch {
      this.#counts.delete(name); // The handler says what is wrong with the name.
    }
  }
}
