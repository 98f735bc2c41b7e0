// What an approximate index stands on: an index that is durable and can answer exactly. Met by libs/artifacts/embedding-index by
// shape alone, as the port of index engines in libs/stages/retrieval is by both.
import type {
  Attributes,
  IndexSpec,
  SearchHits,
  VectorBatch,
  VectorSearchOptions,
} from '@online-cnclip/foundation';

export type {
  Attributes,
  IndexSpec,
  SearchHits,
  VectorBatch,
  VectorSearchOptions,
} from '@online-cnclip/foundation';

/** The port's index. */
export interface PlainIndex<Filter> {
  readonly name: string;
  readonly dimension: number;
  readonly fingerprint: string | undefined;
  readonly createTime: Date;
  count(): Promise<number>;
  upsert(batch: VectorBatch): Promise<void>;
  delete(ids: BigInt64Array): Promise<boolean[]>;
  attributesOf(ids: BigInt64Array): Promise<(Attributes | undefined)[]>;
  search(queries: Float32Array, options: VectorSearchOptions<Filter>): Promise<SearchHits[]>;
}

/** The port's index, and what a graph beside it needs. */
export interface SourceIndex<Filter> extends PlainIndex<Filter> {
  /** Every item of this moment. */
  ids(): BigInt64Array;

  /** The vectors, as they are now, of those ids that are there: ids in the order given, vectors float32 `[ids, dimension]`. */
  vectorsOf(ids: BigInt64Array): Promise<{ readonly ids: BigInt64Array; readonly vectors: Float32Array }>;

  /** As `search`, among some ids for each query; those that are not there do not count. */
  rank(
    queries: Float32Array,
    candidates: readonly BigInt64Array[],
    options: VectorSearchOptions<Filter>,
  ): Promise<SearchHits[]>;
}

/** The port's engine. */
export interface PlainEngine<Index> {
  create(spec: IndexSpec): Promise<Index>;
  open(nameOrAlias: string): Promise<Index>;
  list(): Promise<readonly Index[]>;
  drop(name: string): Promise<void>;
  setAlias(alias: string, name: string): Promise<string | undefined>;
  removeAlias(alias: string): Promise<void>;
  aliases(): Promise<ReadonlyMap<string, string>>;
  close(): Promise<void>;
}
