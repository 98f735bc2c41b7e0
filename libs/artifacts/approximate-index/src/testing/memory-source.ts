import { NotFoundError } from '@online-cnclip/foundation';
import type {
  Attributes,
  PlainEngine,
  SearchHits,
  SourceIndex,
  VectorBatch,
  VectorSearchOptions,
} from '../source.ts';

export type AttributeTest = (attributes: Attributes) => boolean;

interface Item {
  readonly vector: Float32Array;
  readonly attributes: Attributes;
}

/** An index that compares with every item. Counts what it is asked, so that a test sees who answered. */
export class MemorySource implements SourceIndex<AttributeTest> {
  readonly name: string;
  readonly dimension: number;
  readonly fingerprint = undefined;
  readonly createTime = new Date();
  readonly items = new Map<bigint, Item>();
  searches = 0;
  dropped = false;

  constructor(name: string, dimension: number) {
    this.name = name;
    this.dimension = dimension;
  }

  async count(): Promise<number> {
    return this.items.size;
  }

  async upsert({ ids, vectors, attributes }: VectorBatch): Promise<void> {
    await this.#turn();
    for (const [row, id] of ids.entries()) {
      const vector = vectors.slice(row * this.dimension, (row + 1) * this.dimension);
      this.items.set(id, { vector, attributes: attributes?.[row] ?? {} });
    }
  }

  async delete(ids: BigInt64Array): Promise<boolean[]> {
    await this.#turn();
    return Array.from(ids, (id) => this.items.delete(id));
  }

  async attributesOf(ids: BigInt64Array): Promise<(Attributes | undefined)[]> {
    return Array.from(ids, (id) => this.items.get(id)?.attributes);
  }

  async search(queries: Float32Array, options: VectorSearchOptions<AttributeTest>): Promise<SearchHits[]> {
    await this.#turn();
    this.searches++;
    const all = this.ids();
    return this.#best(queries, () => all, options);
  }

  ids(): BigInt64Array {
    return BigInt64Array.from(this.items.keys());
  }

  async vectorsOf(ids: BigInt64Array): Promise<{ ids: BigInt64Array; vectors: Float32Array }> {
    await this.#turn();
    const there = ids.filter((id) => this.items.has(id));
    const vectors = new Float32Array(there.length * this.dimension);
    for (const [row, id] of there.entries())
      vectors.set(this.items.get(id)?.vector ?? [], row * this.dimension);
    return { ids: there, vectors };
  }

  async rank(
    queries: Float32Array,
    candidates: readonly BigInt64Array[],
    options: VectorSearchOptions<AttributeTest>,
  ): Promise<SearchHits[]> {
    await this.#turn();
    return this.#best(queries, (row) => candidates[row] as BigInt64Array, options);
  }

  #best(
    queries: Float32Array,
    candidatesOf: (row: number) => BigInt64Array,
    { topK, filter = () => true }: VectorSearchOptions<AttributeTest>,
  ): SearchHits[] {
    return Array.from({ length: queries.length / this.dimension }, (_, row) => {
      const query = queries.subarray(row * this.dimension, (row + 1) * this.dimension);
      const scored = [...candidatesOf(row)].flatMap((id) => {
        const item = this.items.get(id);
        return item && filter(item.attributes) ? [{ id, score: product(query, item.vector) }] : [];
      });
      const best = scored.sort((a, b) => b.score - a.score).slice(0, topK);
      return {
        ids: BigInt64Array.from(best, ({ id }) => id),
        scores: Float32Array.from(best, ({ score }) => score),
      };
    });
  }

  /** As if there were a disk. */
  async #turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.dropped) throw new NotFoundError(`there is no index ${this.name}`);
  }
}

const product = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);

/** Keeps its indexes when it is closed, as one with a disk does. */
export class MemorySourceEngine implements PlainEngine<MemorySource> {
  readonly indexes = new Map<string, MemorySource>();

  async create({
    name,
    dimension,
  }: {
    readonly name: string;
    readonly dimension: number;
  }): Promise<MemorySource> {
    const index = new MemorySource(name, dimension);
    this.indexes.set(name, index);
    return index;
  }

  async open(name: string): Promise<MemorySource> {
    const index = this.indexes.get(name);
    if (!index) throw new NotFoundError(`there is no index ${name}`);
    return index;
  }

  async list(): Promise<readonly MemorySource[]> {
    return [...this.indexes.values()];
  }

  async drop(name: string): Promise<void> {
    (await this.open(name)).dropped = true;
    this.indexes.delete(name);
  }

  async setAlias(): Promise<string | undefined> {
    return undefined;
  }

  async removeAlias(): Promise<void> {}

  async aliases(): Promise<ReadonlyMap<string, string>> {
    return new Map();
  }

  async close(): Promise<void> {}
}
