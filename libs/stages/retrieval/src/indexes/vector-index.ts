import type { Attributes, Filter } from './filter.ts';

/**
 * What every index engine offers: a port, met by libs/artifacts/{embedding-index,approximate-index,milvus-index} by shape
 * alone and held to test/src/index-engines/contract.ts. The stage gives engines only what is sound: vectors of length 1 and
 * of the index's dimension, ids of 64 bits with sign and distinct within a batch, attributes and filters within their limits.
 */
export interface VectorEngine {
  /** An empty index, durable when the promise resolves. @throws AlreadyExistsError also when an alias has that name. */
  create(spec: IndexSpec): Promise<VectorIndex>;

  /** The index of a name or alias; the same one for every caller. @throws NotFoundError. */
  open(nameOrAlias: string): Promise<VectorIndex>;

  /** Every index, in the order of their names. */
  list(): Promise<readonly VectorIndex[]>;

  /**
   * Removes an index and its items. Calls in flight either end well or throw NotFoundError.
   *
   * @throws NotFoundError, also for an alias; FailedPreconditionError while an alias leads to it.
   */
  drop(name: string): Promise<void>;

  /**
   * Lets an alias lead to an index, from now on or instead of another: `open` gives the old one or the new one at every
   * moment, after a crash too.
   *
   * @returns the index that it led to before.
   * @throws NotFoundError when there is no such index, AlreadyExistsError when an index has the alias's name.
   */
  setAlias(alias: string, name: string): Promise<string | undefined>;

  /** @throws NotFoundError when there is no such alias. */
  removeAlias(alias: string): Promise<void>;

  /** Index by alias. */
  aliases(): Promise<ReadonlyMap<string, string>>;

  /** Waits for the calls in flight and lets go of every file and connection. */
  close(): Promise<void>;
}

/** What an index is made with, for good. */
export interface IndexSpec {
  readonly name: string;
  /** Numbers per vector. */
  readonly dimension: number;
  /** Of the embedding space; absent when that is not known. */
  readonly fingerprint?: string | undefined;
}

/** Vectors by 64-bit id, searched by cosine. */
export interface VectorIndex {
  readonly name: string;
  readonly dimension: number;
  readonly fingerprint: string | undefined;
  readonly createTime: Date;

  /** Items it holds. */
  count(): Promise<number>;

  /**
   * Adds items, or replaces vector and attributes of those whose id is there. All or nothing, and durable when the
   * promise resolves: a kill or a power cut after that loses nothing. Searches that begin after that see them.
   *
   * @throws ResourceExhaustedError when the index is full.
   */
  upsert(batch: VectorBatch): Promise<void>;

  /** Removes items, durably. @returns of each id whether it was there. */
  delete(ids: BigInt64Array): Promise<boolean[]>;

  /** The attributes of each id, `{}` for an item without any; undefined when it is not there. */
  attributesOf(ids: BigInt64Array): Promise<(Attributes | undefined)[]>;

  /**
   * The nearest items of each query.
   *
   * @param queries float32 `[n, dimension]`, each of length 1.
   * @returns one per query; fewer than topK ids when fewer items pass the filter.
   * @throws the signal's reason when it aborts.
   */
  search(queries: Float32Array, options: VectorSearchOptions): Promise<SearchHits[]>;
}

/** Items of one upsert. */
export interface VectorBatch {
  readonly ids: BigInt64Array;
  /** float32 `[ids, dimension]`, each of length 1. The engine may not keep it. */
  readonly vectors: Float32Array;
  /** One per id; absent: none has any. */
  readonly attributes?: readonly Attributes[] | undefined;
}

export interface VectorSearchOptions {
  /** Items wanted per query, at most MAX_TOP_K. */
  readonly topK: number;
  /** Only items that it matches count; absent: all do. */
  readonly filter?: Filter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The answer to one query. */
export interface SearchHits {
  /** Best first. */
  readonly ids: BigInt64Array;
  /** Cosine of each, -1 to 1. */
  readonly scores: Float32Array;
}
