import { requireIndexName } from './index-name.ts';
import type { IndexSpec, VectorEngine, VectorIndex } from './vector-index.ts';

/** Named indexes and their aliases, kept by an engine; names are looked at before the engine sees them. */
export class IndexCatalog {
  readonly #engine: VectorEngine;

  constructor(engine: VectorEngine) {
    this.#engine = engine;
  }

  /** An empty index, durable when the promise resolves. @throws AlreadyExistsError, ResourceExhaustedError. */
  async create(spec: IndexSpec): Promise<VectorIndex> {
    requireIndexName(spec.name);
    return this.#engine.create(spec);
  }

  /** @throws InvalidInputError when it is not a name, NotFoundError when there is none of that name or alias. */
  async get(nameOrAlias: string): Promise<VectorIndex> {
    return this.#engine.open(requireIndexName(nameOrAlias));
  }

  /** In the order of their names. */
  list(): Promise<readonly VectorIndex[]> {
    return this.#engine.list();
  }

  /** Removes an index and its items. @returns the items it held. @throws NotFoundError, FailedPreconditionError. */
  async drop(name: string): Promise<number> {
    requireIndexName(name);
    const index = (await this.#engine.list()).find((one) => one.name === name);
    const items = (await index?.count()) ?? 0;
    await this.#engine.drop(name);
    return items;
  }

  /** @returns the index that the alias led to before. @throws NotFoundError, AlreadyExistsError. */
  async setAlias(alias: string, name: string): Promise<string | undefined> {
    requireIndexName(alias, 'alias');
    return this.#engine.setAlias(alias, requireIndexName(name));
  }

  /** @throws NotFoundError. */
  async removeAlias(alias: string): Promise<void> {
    await this.#engine.removeAlias(requireIndexName(alias, 'alias'));
  }

  /** Index by alias, in the order of the aliases. */
  async aliases(): Promise<ReadonlyMap<string, string>> {
    const aliases = [...(await this.#engine.aliases())];
    return new Map(aliases.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
