import type {
  Attributes,
  IndexSpec,
  VectorSearchOptions as OptionsWith,
  SearchHits,
  VectorBatch,
} from '@online-cnclip/foundation';
import type { Filter } from './filter.ts';

export type { IndexSpec, SearchHits, VectorBatch } from '@online-cnclip/foundation';

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

export type VectorSearchOptions = OptionsWith<Filter>;
