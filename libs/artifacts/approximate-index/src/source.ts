// What an approximate index stands on: an index that is durable and can answer exactly. Met by libs/artifacts/embedding-index by
// shape alone, as the port of index engines in libs/stages/retrieval is by both.

export type Attributes = Readonly<Record<string, string | bigint | number | boolean>>;

export interface VectorBatch {
  readonly ids: BigInt64Array;
  /** float32 `[ids, dimension]`, each of length 1. */
  readonly vectors: Float32Array;
  readonly attributes?: readonly Attributes[] | undefined;
}

export interface VectorSearchOptions<Filter> {
  readonly topK: number;
  readonly filter?: Filter | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SearchHits {
  /** Best first. */
  readonly ids: BigInt64Array;
  readonly scores: Float32Array;
}

export interface IndexSpec {
  readonly name: string;
  readonly dimension: number;
  readonly fingerprint?: string | undefined;
}

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
