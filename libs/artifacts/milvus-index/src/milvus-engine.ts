import { AlreadyExistsError, FailedPreconditionError, NotFoundError } from '@online-cnclip/foundation';
import { collectionName, indexName } from './collection-name.ts';
import { MilvusConnection } from './connection.ts';
import type { IndexSpec } from './items.ts';
import { MilvusIndex } from './milvus-index.ts';
import type { MilvusEngineOptions } from './options.ts';

/** What a collection says of itself, beside its schema. */
interface Description {
  readonly collection_name: string;
  readonly properties: readonly { readonly key: string; readonly value: string }[];
  readonly schema: { readonly name?: string; readonly description?: string } | null;
}

/** Keys of a collection's properties. */
const PROPERTIES = {
  dimension: 'onlinecnclip.dimension',
  fingerprint: 'onlinecnclip.fingerprint',
  createTime: 'onlinecnclip.create_time',
} as const;

/**
 * Indexes on a Milvus server: a collection each, made for one embedding space, and Milvus's aliases. Meets the index port of
 * libs/stages/retrieval. Several processes may work on the same ones; one that looks (`open`) sees what the others did.
 */
export class MilvusEngine {
  readonly #options: MilvusEngineOptions;
  readonly #connection: MilvusConnection;
  readonly #indexes = new Map<string, MilvusIndex>();

  /** Connects with the first call. @throws InvalidInputError naming a file of the options that is no good. */
  constructor(options: MilvusEngineOptions) {
    this.#options = options;
    this.#connection = new MilvusConnection(options);
  }

  async create({ name, dimension, fingerprint }: IndexSpec): Promise<MilvusIndex> {
    if (await this.#describe(name))
      throw new AlreadyExistsError(`there is an index or alias ${name} already`);
    const properties = {
      [PROPERTIES.dimension]: String(dimension),
      [PROPERTIES.createTime]: new Date().toISOString(),
      ...(fingerprint === undefined ? {} : { [PROPERTIES.fingerprint]: fingerprint }),
    };
    const collection = this.#collection(name);
    await this.#connection.createCollection(collection, { dimension, properties });
    const index = this.#indexOf(name, new Map(Object.entries(properties)));
    await index.prepare();
    return index;
  }

  async open(nameOrAlias: string): Promise<MilvusIndex> {
    const described = await this.#describe(nameOrAlias);
    if (!described) throw new NotFoundError(`there is no index ${nameOrAlias}`);
    const { name, properties } = described;
    return this.#indexOf(name, properties);
  }

  async list(): Promise<readonly MilvusIndex[]> {
    const { collection_names: collections } = await this.#connection.call<{
      readonly collection_names: readonly string[];
    }>('ShowCollections', {});
    const names = collections
      .map((collection) => indexName(this.#options.collectionPrefix, collection))
      .filter((name) => name !== undefined);
    const described = await Promise.all(names.map((name) => this.#describe(name)));
    return (
      described
        // One that was dropped since is left out.
        .filter((one) => one !== undefined)
        .map(({ name, properties }) => this.#indexOf(name, properties))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    );
  }

  async drop(name: string): Promise<void> {
    await this.#requireIndex(name);
    for (const [alias, target] of await this.aliases())
      if (target === name) throw new FailedPreconditionError(`alias ${alias} leads to index ${name}`);
    await this.#connection.call('DropCollection', { collection_name: this.#collection(name) });
    this.#indexes.delete(name);
  }

  /** One call of Milvus, which swaps the alias at once for everyone. */
  async setAlias(alias: string, name: string): Promise<string | undefined> {
    await this.#requireIndex(name);
    const before = (await this.#describe(alias))?.name;
    if (before === alias) throw new AlreadyExistsError(`there is an index ${alias}`);
    await this.#connection.call(before === undefined ? 'CreateAlias' : 'AlterAlias', {
      alias: this.#collection(alias),
      collection_name: this.#collection(name),
    });
    return before;
  }

  async removeAlias(alias: string): Promise<void> {
    if (!(await this.aliases()).has(alias)) throw new NotFoundError(`there is no alias ${alias}`);
    await this.#connection.call('DropAlias', { alias: this.#collection(alias) });
  }

  async aliases(): Promise<ReadonlyMap<string, string>> {
    const { aliases } = await this.#connection.call<{ readonly aliases: readonly string[] }>(
      'ListAliases',
      {},
    );
    const entries = await Promise.all(
      aliases.map(async (collection) => {
        const alias = indexName(this.#options.collectionPrefix, collection);
        const target = alias === undefined ? undefined : (await this.#describe(alias))?.name;
        return alias === undefined || target === undefined ? [] : [[alias, target] as const];
      }),
    );
    return new Map(entries.flat());
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  #collection(name: string): string {
    return collectionName(this.#options.collectionPrefix, name);
  }

  async #requireIndex(name: string): Promise<void> {
    if ((await this.#describe(name))?.name !== name) throw new NotFoundError(`there is no index ${name}`);
  }

  /** The index that a name or alias leads to. */
  async #describe(
    nameOrAlias: string,
  ): Promise<{ readonly name: string; readonly properties: ReadonlyMap<string, string> } | undefined> {
    const description = await this.#connection
      .call<Description>('DescribeCollection', { collection_name: this.#collection(nameOrAlias) })
      .catch((error: unknown) => {
        if (error instanceof NotFoundError) return undefined;
        throw error;
      });
    if (!description) return undefined;
    // The schema has the collection's own name, whatever name was asked for.
    const collection = description.schema?.name || description.collection_name;
    const name = indexName(this.#options.collectionPrefix, collection);
    return name === undefined ? undefined : { name, properties: propertiesOf(description) };
  }

  /** The same object for every caller, as long as it is the same collection. */
  #indexOf(name: string, properties: ReadonlyMap<string, string>): MilvusIndex {
    const createTime = new Date(properties.get(PROPERTIES.createTime) ?? 0);
    const known = this.#indexes.get(name);
    if (known && known.createTime.getTime() === createTime.getTime()) return known;
    const index = new MilvusIndex(this.#connection, {
      ...this.#options,
      name,
      collection: this.#collection(name),
      dimension: Number(properties.get(PROPERTIES.dimension)),
      fingerprint: properties.get(PROPERTIES.fingerprint),
      createTime,
    });
    this.#indexes.set(name, index);
    return index;
  }
}

/** As we gave them; from the description where the server dropped properties that it does not know. */
function propertiesOf({ properties, schema }: Description): ReadonlyMap<string, string> {
  const given = new Map(properties.map(({ key, value }) => [key, value]));
  if (given.has(PROPERTIES.dimension) || !schema?.description) return given;
  return new Map(Object.entries(JSON.parse(schema.description) as Record<string, string>));
}
