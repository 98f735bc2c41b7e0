// The one file that knows usearch. Its calls block the thread that makes them: only graph-thread.ts does.
import { BatchMatches, Index, MetricKind, ScalarKind } from 'usearch';
import type { GraphOptions, GraphPrecision } from './graph-options.ts';

const SCALARS: Readonly<Record<GraphPrecision, ScalarKind>> = {
  float32: ScalarKind.F32,
  float16: ScalarKind.F16,
  int8: ScalarKind.I8,
};

/** Neighbours of each query, one after another: query i's are the first `counts[i]` of `ids` from `i * wanted`. */
export interface NativeMatches {
  readonly ids: BigInt64Array<ArrayBuffer>;
  readonly counts: Uint32Array<ArrayBuffer>;
}

/** A graph in this thread's hands: plain data in and out. Keys of usearch are unsigned; ids keep their bits. */
export class NativeIndex {
  readonly #options: GraphOptions;
  #index: Index;
  /** The file that is mapped instead of loaded; a mapped graph cannot be changed. */
  #mapped: string | undefined;

  constructor(options: GraphOptions) {
    this.#options = options;
    this.#index = emptyIndex(options);
  }

  get size(): number {
    return this.#index.size();
  }

  /** Ids must differ from one another; those that are there are replaced. */
  replace(ids: BigInt64Array<ArrayBuffer>, vectors: Float32Array): void {
    this.remove(ids);
    this.#index.add(unsigned(ids), vectors, this.#options.threads);
  }

  /** @returns how many were there. */
  remove(ids: BigInt64Array<ArrayBuffer>): number {
    this.#makeChangeable();
    const removed = this.#index.remove(unsigned(ids)) as number[];
    return removed.reduce((sum, count) => sum + count, 0);
  }

  search(queries: Float32Array, wanted: number): NativeMatches {
    const count = queries.length / this.#options.dimension;
    const found = this.#index.search(queries, wanted, Math.min(count, this.#options.threads));
    const counts = found instanceof BatchMatches ? Array.from(found.counts, Number) : [found.keys.length];
    const keys = Uint8Array.from(
      new Uint8Array(found.keys.buffer, found.keys.byteOffset, found.keys.byteLength),
    );
    return { ids: new BigInt64Array(keys.buffer), counts: Uint32Array.from(counts) };
  }

  save(path: string): void {
    this.#index.save(path);
  }

  load(path: string): void {
    const index = emptyIndex(this.#options);
    index.load(path);
    this.#index = index;
    this.#mapped = undefined;
  }

  /** Maps a file instead of loading it: the system brings in the pages that searches touch. */
  map(path: string): void {
    const index = emptyIndex(this.#options);
    index.view(path);
    this.#index = index;
    this.#mapped = path;
  }

  #makeChangeable(): void {
    if (this.#mapped !== undefined) this.load(this.#mapped);
  }
}

function emptyIndex({
  dimension,
  precision,
  connectivity,
  expansionAdd,
  expansionSearch,
}: GraphOptions): Index {
  return new Index({
    dimensions: dimension,
    // Of unit vectors the inner product is the cosine.
    metric: MetricKind.IP,
    quantization: SCALARS[precision],
    connectivity,
    expansion_add: expansionAdd,
    expansion_search: expansionSearch,
    multi: false,
  });
}

const unsigned = (ids: BigInt64Array<ArrayBuffer>): BigUint64Array =>
  new BigUint64Array(ids.buffer, ids.byteOffset, ids.length);
