import { Worker } from 'node:worker_threads';
import { FailedPreconditionError, InvalidInputError, UnavailableError } from '@online-cnclip/foundation';
import { type GraphOptions, requireGraphOptions } from './graph-options.ts';
import type { GraphRequest, GraphResponse } from './protocol.ts';
import { type GraphQueries, type Neighbors, packSearches, splitNeighbors } from './search-batch.ts';

/** usearch marks free places with the key of all ones, so that the graph cannot hold this id. */
export const RESERVED_ID = -1n;

/** Vectors placed in one go: so long, some 10 ms on a core, does a search wait at most for changes. */
const MAX_SLICE_VECTORS = 32;

/** While nobody searches larger slices spare the threads from waiting for each other. */
const MAX_QUIET_SLICE_VECTORS = 256;
const QUIET_MS = 1_000;

/** Queries answered in one go. */
const MAX_QUERIES_PER_PASS = 256;

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

interface WaitingSearch extends GraphQueries, Waiting<Neighbors[]> {
  readonly signal: AbortSignal | undefined;
}

interface WaitingRequest extends Waiting<GraphResponse> {
  readonly request: GraphRequest;
}

/**
 * A hierarchical navigable small world graph (HNSW, arXiv 1603.09320) of unit vectors by 64-bit id, on a thread of its own.
 * Searches that wait are answered together; searches and changes take turns.
 */
export class NeighborGraph {
  readonly dimension: number;
  readonly #thread: Worker;
  readonly #searches: WaitingSearch[] = [];
  readonly #changes: WaitingRequest[] = [];
  #running: Waiting<GraphResponse> | undefined;
  #size = 0;
  #onFile = false;
  #searchedLast = false;
  #searchedAt = Number.NEGATIVE_INFINITY;
  #failure: Error | undefined;

  /** @throws InvalidInputError naming the option that is out of range. */
  constructor(options: GraphOptions) {
    const workerData = requireGraphOptions(options);
    this.dimension = workerData.dimension;
    this.#thread = new Worker(new URL('./graph-thread.ts', import.meta.url), { workerData });
    this.#thread.unref();
    this.#thread.on('message', (response: GraphResponse) => this.#answered(response));
    this.#thread.on('error', (cause) => this.#fail(new UnavailableError('the graph failed', { cause })));
    this.#thread.on('exit', () => this.#fail(new FailedPreconditionError('the graph is closed')));
  }

  /** Vectors in it. */
  get size(): number {
    return this.#size;
  }

  /** Whether a file is being read or written: a search would wait for it. */
  get isOnFile(): boolean {
    return this.#onFile;
  }

  /**
   * Places vectors; those whose id is there move.
   *
   * @param ids each once, none RESERVED_ID. @param vectors `[ids, dimension]`, of unit length.
   */
  async replace(
    ids: BigInt64Array,
    vectors: Float32Array,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    if (vectors.length !== ids.length * this.dimension)
      throw new InvalidInputError(`${vectors.length} numbers for ${ids.length} vectors of ${this.dimension}`);
    requireDistinct(ids);
    for (let from = 0, to = 0; from < ids.length; from = to) {
      signal?.throwIfAborted();
      const isQuiet = performance.now() - this.#searchedAt > QUIET_MS;
      to = Math.min(from + (isQuiet ? MAX_QUIET_SLICE_VECTORS : MAX_SLICE_VECTORS), ids.length);
      const slice = vectors.slice(from * this.dimension, to * this.dimension);
      await this.#ask({ kind: 'replace', ids: ids.slice(from, to), vectors: slice });
    }
  }

  /** Takes vectors out; ids that are not there are passed over. */
  async remove(ids: BigInt64Array): Promise<void> {
    if (ids.length > 0) await this.#ask({ kind: 'remove', ids: ids.slice() });
  }

  /**
   * About the nearest of each query, best first by the graph's own precision.
   *
   * @param queries of unit length. @throws the signal's reason.
   */
  async search(
    queries: readonly Float32Array[],
    wanted: number,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Neighbors[]> {
    if (queries.length === 0) return [];
    for (const [position, { length }] of queries.entries())
      if (length !== this.dimension)
        throw new InvalidInputError(`${length} numbers instead of ${this.dimension}`, {
          place: `queries[${position}]`,
        });
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#searches.push({ queries, wanted, signal, resolve, reject });
      this.#next();
    });
  }

  /** Writes the graph to a path; whatever was there is overwritten. */
  async save(path: string): Promise<void> {
    await this.#ask({ kind: 'save', path });
  }

  /** Takes a file that {@link save} wrote with the same shape. usearch trusts what it reads: check it before. */
  async load(path: string): Promise<void> {
    await this.#ask({ kind: 'load', path });
  }

  /** As {@link load}, without reading it into memory until the first change. The path has to stay. */
  async map(path: string): Promise<void> {
    await this.#ask({ kind: 'map', path });
  }

  /** Ends the thread; what still waits is refused. */
  async close(): Promise<void> {
    this.#fail(new FailedPreconditionError('the graph is closed'));
    await this.#thread.terminate();
  }

  #ask(request: GraphRequest): Promise<GraphResponse> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#changes.push({ request, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#running || this.#failure) return;
    // In turn, so that neither starves the other.
    const searches = this.#searchedLast && this.#changes.length > 0 ? [] : this.#takeSearches();
    this.#searchedLast = searches.length > 0;
    if (searches.length > 0) this.#search(searches);
    else this.#change(this.#changes.shift());
  }

  #change(change: WaitingRequest | undefined): void {
    if (!change) {
      this.#thread.unref();
      return;
    }
    this.#onFile = 'path' in change.request;
    this.#send(change.request, change);
  }

  #takeSearches(): WaitingSearch[] {
    const taken: WaitingSearch[] = [];
    let queries = 0;
    while (this.#searches.length > 0 && queries < MAX_QUERIES_PER_PASS) {
      const search = this.#searches.shift() as WaitingSearch;
      if (search.signal?.aborted) {
        search.reject(search.signal.reason);
        continue;
      }
      queries += search.queries.length;
      taken.push(search);
    }
    return taken;
  }

  #search(searches: readonly WaitingSearch[]): void {
    this.#searchedAt = performance.now();
    const batch = packSearches(searches, this.dimension);
    this.#send(
      { kind: 'search', ...batch },
      {
        resolve: ({ ids = new BigInt64Array(), counts = new Uint32Array() }) => {
          const answers = splitNeighbors(searches, { ids, counts, wanted: batch.wanted });
          for (const [index, { resolve }] of searches.entries()) resolve(answers[index] as Neighbors[]);
        },
        reject: (error) => {
          for (const { reject } of searches) reject(error);
        },
      },
    );
  }

  #send(request: GraphRequest, waiting: Waiting<GraphResponse>): void {
    this.#running = waiting;
    this.#thread.ref();
    this.#thread.postMessage(request);
  }

  #answered(response: GraphResponse): void {
    const waiting = this.#running;
    this.#running = undefined;
    this.#onFile = false;
    this.#size = response.size;
    if (response.error === undefined) waiting?.resolve(response);
    else waiting?.reject(new Error(`usearch: ${response.error}`));
    this.#next();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#running?.reject(this.#failure);
    this.#running = undefined;
    for (const { reject } of [...this.#searches, ...this.#changes]) reject(this.#failure);
    this.#searches.length = 0;
    this.#changes.length = 0;
  }
}

function requireDistinct(ids: BigInt64Array): void {
  if (ids.includes(RESERVED_ID))
    throw new InvalidInputError(`${RESERVED_ID} cannot be in a graph`, { place: 'ids' });
  if (new Set(ids).size !== ids.length) throw new InvalidInputError('an id is there twice', { place: 'ids' });
}
