import {
  FailedPreconditionError,
  InvalidInputError,
  ResourceExhaustedError,
  throwIfAborted,
} from '@online-cnclip/foundation';
import { EventLoopTurns } from './event-loop-turns.ts';
import { IndexItems } from './index-items.ts';
import { DEFAULT_MAX_ITEMS, MAX_TOP_K } from './limits.ts';
import { normalize } from './scoring/normalize.ts';
import { bestRows, packQueries, passes } from './scoring/score-table.ts';
import { SharedLock } from './shared-lock.ts';

export interface IndexOptions {
  /** Numbers per vector. */
  readonly dimension: number;
  /** Of the embedding space (the encoder's model); absent while it is not known. */
  readonly fingerprint?: string | undefined;
  readonly maxItems?: number;
  readonly createTime?: Date;
}

/** Ties the vectors of a call to an embedding space. */
export interface SpaceOptions {
  /** Refused when it is not the index's; absent: not checked. */
  readonly fingerprint?: string | undefined;
}

export interface SearchOptions extends SpaceOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The answer to one query. */
export interface SearchHits {
  /** Best first; of equal scores the item that was added first. */
  readonly ids: BigInt64Array;
  /** Cosine of each, -1 to 1. */
  readonly scores: Float32Array;
}

/** An empty index. @throws InvalidInputError for a dimension out of range. */
export function createIndex(options: IndexOptions): EmbeddingIndex {
  return new EmbeddingIndex(options);
}

/**
 * Vectors by 64-bit id, searched exactly by cosine. Calls may overlap: each search sees the items of one moment, a change
 * is seen whole or not at all. Vectors of different embedding spaces never mix.
 */
export class EmbeddingIndex {
  readonly dimension: number;
  readonly createTime: Date;
  readonly maxItems: number;
  readonly #items: IndexItems;
  readonly #lock = new SharedLock();
  #fingerprint: string | undefined;
  #revision = 0;

  constructor({
    dimension,
    fingerprint,
    maxItems = DEFAULT_MAX_ITEMS,
    createTime = new Date(),
  }: IndexOptions) {
    this.#items = new IndexItems(dimension);
    this.#fingerprint = fingerprint;
    this.dimension = dimension;
    this.maxItems = maxItems;
    this.createTime = createTime;
  }

  /** Number of items. */
  get size(): number {
    return this.#items.size;
  }

  /** Of the embedding space; undefined while only vectors of unknown origin are in it. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  /** Grows with every change: what was saved at this number needs no saving again. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * Adds items, or replaces the vectors of those whose id is there; of two with one id the later counts. All or
   * nothing.
   *
   * @param vectors one per id, of any length but zero.
   * @throws InvalidInputError naming the item whose vector or id is no good.
   * @throws FailedPreconditionError naming both fingerprints when they differ.
   * @throws ResourceExhaustedError when the index would hold more than `maxItems`.
   */
  upsert(
    ids: readonly bigint[] | BigInt64Array,
    vectors: readonly Float32Array[],
    { fingerprint }: SpaceOptions = {},
  ): Promise<void> {
    return this.#lock.write(() => {
      if (ids.length !== vectors.length)
        throw new InvalidInputError(`${vectors.length} vectors for ${ids.length} ids`);
      this.#requireSpace(fingerprint);
      const batch = new Map<bigint, Float32Array>();
      for (const [index, vector] of vectors.entries()) {
        const id = requireInt64(ids[index] as bigint, `ids[${index}]`);
        batch.set(id, normalize(vector, `item ${id}`, this.dimension));
      }
      this.#requireRoom(batch.keys());
      for (const [id, vector] of batch) this.#items.set(id, vector);
      this.#fingerprint ??= fingerprint;
      if (batch.size > 0) this.#revision++;
    });
  }

  /** @returns of each id whether it was there. */
  delete(ids: readonly bigint[] | BigInt64Array): Promise<boolean[]> {
    return this.#lock.write(async () => {
      const results = Array.from(ids, (id) => this.#items.delete(id));
      if (results.includes(true)) this.#revision++;
      await this.#items.compactWhenSparse();
      return results;
    });
  }

  /**
   * The nearest items of each query, exactly. A million items times 64 queries take seconds; the event loop keeps turning.
   *
   * @param queries of any length but zero.
   * @param topK 1 to MAX_TOP_K; fewer hits come back when the index holds fewer.
   * @throws InvalidInputError naming the query or topK that is no good, FailedPreconditionError naming both
   *   fingerprints when they differ, the signal's reason when it aborts.
   */
  async search(
    queries: readonly Float32Array[],
    topK: number,
    { signal, fingerprint }: SearchOptions = {},
  ): Promise<SearchHits[]> {
    requireTopK(topK);
    const items = this.#items;
    const turns = new EventLoopTurns(signal);
    const results: SearchHits[] = [];
    let done = 0;
    for (const pass of passes(queries)) {
      const packed = packQueries(items.vectors, pass, (index) => `queries[${done + index}]`);
      const hits = await this.#lock.read(async () => {
        throwIfAborted(signal);
        this.#requireSpace(fingerprint);
        const isLive = items.isWhole ? undefined : (row: number) => items.isLive(row);
        const best = await bestRows(items.vectors, packed, topK, { isLive, turns });
        return best.map(({ rows, scores }) => ({ ids: items.idsOf(rows), scores }));
      });
      results.push(...hits);
      done += pass.length;
    }
    return results;
  }

  /** Runs `work` on the items of one moment: changes wait until it has ended. */
  freeze<T>(work: (frozen: FrozenItems) => Promise<T>): Promise<T> {
    return this.#lock.read(() =>
      work({
        size: this.size,
        fingerprint: this.#fingerprint,
        revision: this.#revision,
        entries: () => this.#items.entries(),
      }),
    );
  }

  #requireSpace(fingerprint: string | undefined): void {
    if (fingerprint === undefined || this.#fingerprint === undefined || fingerprint === this.#fingerprint)
      return;
    throw new FailedPreconditionError(
      `vectors of model ${fingerprint} cannot be mixed with the index's, which are of model ${this.#fingerprint}`,
    );
  }

  #requireRoom(ids: Iterable<bigint>): void {
    let added = 0;
    for (const id of ids) if (!this.#items.has(id)) added++;
    if (this.size + added > this.maxItems)
      throw new ResourceExhaustedError(
        `${added} more items do not fit: the index holds ${this.size} of at most ${this.maxItems}`,
      );
  }
}

/** An index's items at one moment. */
export interface FrozenItems {
  readonly size: number;
  readonly fingerprint: string | undefined;
  readonly revision: number;
  /** In the order they were added; each vector is a view of unit length. */
  entries(): Generator<{ readonly id: bigint; readonly vector: Float32Array }, void, void>;
}

/** @throws InvalidInputError when it is no whole number from 1 to MAX_TOP_K. */
export function requireTopK(topK: number, place = 'topK'): void {
  if (!Number.isInteger(topK) || topK < 1 || topK > MAX_TOP_K)
    throw new InvalidInputError(`${topK} is not a whole number from 1 to ${MAX_TOP_K}`, { place });
}

/** @throws InvalidInputError when an id does not fit 64 bits with sign. */
export function requireInt64(id: bigint, place: string): bigint {
  if (BigInt.asIntN(64, id) !== id) throw new InvalidInputError(`${id} does not fit 64 bits`, { place });
  return id;
}
