import { RESERVED_ID } from './graph/neighbor-graph.ts';
import type { GraphKeeper } from './graph-keeper.ts';
import type {
  Attributes,
  PlainIndex,
  SearchHits,
  SourceIndex,
  VectorBatch,
  VectorSearchOptions,
} from './source.ts';

/** Neighbours scored again for each one wanted: the graph's own order is by rounded vectors. */
const CANDIDATES_PER_HIT = 4;

/** Fewer are not worth a second look. */
const MIN_CANDIDATES = 40;

/** When no neighbour passes a filter, so many times more are asked for. */
const WIDENING = 8;

/** When some do, as many as by their share should be enough, and half as many again. */
const WIDENING_MARGIN = 1.5;

/** Beyond so many neighbours of a query it is quicker to look at all items that pass. */
const MAX_CANDIDATES = 4_096;

/**
 * An index with a graph beside it. The index is what is durable, and decides: ids that the graph names are scored again with
 * the index's own vectors, and those that are gone, or do not pass, are left out. Where the graph cannot answer (it is
 * being built, or a filter lets too few through) the index does, exactly.
 */
export class ApproximateIndex<Filter> implements PlainIndex<Filter> {
  readonly #source: SourceIndex<Filter>;
  readonly #graph: GraphKeeper<Filter>;

  constructor(source: SourceIndex<Filter>, graph: GraphKeeper<Filter>) {
    this.#source = source;
    this.#graph = graph;
  }

  get name(): string {
    return this.#source.name;
  }

  get dimension(): number {
    return this.#source.dimension;
  }

  get fingerprint(): string | undefined {
    return this.#source.fingerprint;
  }

  get createTime(): Date {
    return this.#source.createTime;
  }

  /** Whether searches are answered by the graph now. */
  get isApproximate(): boolean {
    return this.#graph.isUsable;
  }

  /** Resolves when the graph has everything that was written before. */
  whenPlaced(): Promise<void> {
    return this.#graph.whenPlaced();
  }

  count(): Promise<number> {
    return this.#source.count();
  }

  attributesOf(ids: BigInt64Array): Promise<(Attributes | undefined)[]> {
    return this.#source.attributesOf(ids);
  }

  async upsert(batch: VectorBatch): Promise<void> {
    await this.#graph.changing(batch.ids, () => this.#source.upsert(batch));
  }

  delete(ids: BigInt64Array): Promise<boolean[]> {
    return this.#graph.changing(ids, () => this.#source.delete(ids));
  }

  async search(queries: Float32Array, options: VectorSearchOptions<Filter>): Promise<SearchHits[]> {
    options.signal?.throwIfAborted();
    const { topK } = options;
    let wanted = Math.max(topK * CANDIDATES_PER_HIT, MIN_CANDIDATES);
    while (this.#graph.isUsable && wanted <= Math.min(MAX_CANDIDATES, this.#graph.size)) {
      const hits = await this.#rankNeighbors(queries, wanted, options);
      if (!hits) break;
      const found = Math.min(...hits.map(({ ids }) => ids.length));
      if (found >= topK) return hits;
      wanted = found === 0 ? wanted * WIDENING : Math.ceil(((wanted * topK) / found) * WIDENING_MARGIN);
    }
    return this.#source.search(queries, options);
  }

  async #rankNeighbors(
    queries: Float32Array,
    wanted: number,
    options: VectorSearchOptions<Filter>,
  ): Promise<SearchHits[] | undefined> {
    // What the graph does not have yet is compared with every query. Looked up before: what is
    // placed while the graph searches would else be in neither.
    const others = this.#graph.unplaced();
    const rows = Array.from({ length: queries.length / this.dimension }, (_, row) =>
      queries.subarray(row * this.dimension, (row + 1) * this.dimension),
    );
    const neighbors = await this.#graph.search(rows, wanted, options);
    if (!neighbors) return undefined;
    const candidates = neighbors.map((ids) => withOthers(ids, others));
    return this.#source.rank(queries, candidates, options);
  }
}

/** Each id once. */
function withOthers(ids: BigInt64Array, others: ReadonlySet<bigint>): BigInt64Array {
  const own = ids.filter((id) => !others.has(id));
  return BigInt64Array.from([...own, ...others, RESERVED_ID]);
}
