import { crc32 } from 'node:zlib';
import { type Logger, messageOf, NotFoundError } from '@online-cnclip/foundation';
import type { GraphOptions } from './graph/graph-options.ts';
import { NeighborGraph, RESERVED_ID } from './graph/neighbor-graph.ts';
import type { Neighbors } from './graph/search-batch.ts';
import type { GraphFolder, Placed } from './graph-folder.ts';
import { slices } from './slices.ts';
import type { SourceIndex } from './source.ts';

export interface GraphKeeperOptions extends GraphOptions {
  /** Items from which on a graph is kept; below, comparing with every item is as quick. */
  readonly minItems: number;
  /** Whether a graph that was saved is mapped into memory instead of loaded, until the next change. */
  readonly memoryMapped: boolean;
}

/** Ids looked at in one go: their vectors are 1 MB at 512 numbers, and read in a millisecond or two. */
const MAX_IDS_PER_STEP = 512;

/** Items that the graph may lack and that every search compares itself; with more, the index answers. */
const MAX_UNPLACED = 1_024;

/** A graph is saved when so many of its vectors changed, or this share of them: after a crash they are placed anew. */
const MIN_CHANGES_PER_SAVE = 10_000;
const CHANGED_SHARE_PER_SAVE = 0.1;

/**
 * Keeps the graph of one index: in the background it brings every changed item to where the index has it. An id is unplaced from
 * before its change until the graph has it, so that what is not unplaced is in the graph as it is in the index.
 */
export class GraphKeeper<Filter> {
  readonly #source: SourceIndex<Filter>;
  readonly #folder: GraphFolder;
  readonly #options: GraphKeeperOptions;
  readonly #logger: Logger;
  /** How often each was marked: one that is marked again while it is placed stays. */
  readonly #unplaced = new Map<bigint, number>();
  #placed: Placed = new Map();
  #graph: NeighborGraph | undefined;
  #marks = 0;
  /** Vectors changed since the graph was saved, and how many there have to be for the next attempt after one that failed. */
  #changes = 0;
  #retryAtChanges = 0;
  #placing: Promise<void> | undefined;
  #complete = false;
  #closed = false;

  constructor(source: SourceIndex<Filter>, folder: GraphFolder, options: GraphKeeperOptions, logger: Logger) {
    this.#source = source;
    this.#folder = folder;
    this.#options = options;
    this.#logger = logger.child({ index: source.name });
  }

  /** Vectors in the graph. */
  get size(): number {
    return this.#placed.size;
  }

  /** Whether the graph, with the unplaced items, has all that the index has, and answers at once. */
  get isUsable(): boolean {
    return this.#complete && this.#unplaced.size <= MAX_UNPLACED && !this.#graph?.isOnFile && !this.#closed;
  }

  /** Ids that the graph may not have, or not as the index has them. */
  unplaced(): ReadonlySet<bigint> {
    return new Set(this.#unplaced.keys());
  }

  /** @returns undefined when the graph cannot answer. @throws the signal's reason. */
  async search(
    queries: readonly Float32Array[],
    wanted: number,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Neighbors[] | undefined> {
    try {
      return await this.#graph?.search(queries, wanted, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      this.#failed(error);
      return undefined;
    }
  }

  /** Makes a change of the index known before and after it. */
  async changing<T>(ids: BigInt64Array, change: () => Promise<T>): Promise<T> {
    this.#mark(ids);
    try {
      return await change();
    } finally {
      this.#mark(ids);
      this.#place();
    }
  }

  /** Brings the graph of the last time back, or begins one, in the background. */
  start(): void {
    this.#place();
  }

  /** Resolves when nothing is unplaced and nothing being saved. */
  async whenPlaced(): Promise<void> {
    while (this.#placing) await this.#placing;
  }

  /** Saves what changed and ends the graph's thread. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#placing;
    if (this.#graph && this.#complete && this.#changes > 0) await this.#save();
    await this.#graph?.close();
  }

  /** Ends without saving, and removes what was saved: the index is gone. */
  async discard(): Promise<void> {
    this.#closed = true;
    await this.#placing;
    await this.#graph?.close();
    await this.#folder.remove();
  }

  #mark(ids: Iterable<bigint>): void {
    const mark = this.#marks++;
    for (const id of ids) if (id !== RESERVED_ID) this.#unplaced.set(id, mark);
  }

  /** One at a time; begun again by the next change after a failure. */
  #place(): void {
    if (this.#placing || this.#closed) return;
    this.#placing = this.#placeAll()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#placing = undefined;
        if (this.#complete && this.#unplaced.size > 0) this.#place();
      });
  }

  /** The index answers alone until the next change, which begins the graph again. */
  #failed(error: unknown): void {
    if (this.#closed || error instanceof NotFoundError) return;
    this.#complete = false;
    this.#logger.error({ err: error }, 'graph failed: searches compare with every item');
  }

  async #placeAll(): Promise<void> {
    if (!this.#complete && !(await this.#open())) return;
    while (this.#unplaced.size > 0 && !this.#closed) await this.#placeSome();
    if (this.#closed) return;
    if (!this.#complete) this.#logger.info({ items: this.size, changed: this.#changes }, 'graph is complete');
    this.#complete = true;
    const enough = Math.max(MIN_CHANGES_PER_SAVE, this.size * CHANGED_SHARE_PER_SAVE, this.#retryAtChanges);
    if (this.#changes >= enough) await this.#save();
  }

  /** The graph of the last time where it is whole, and every id that it may not have. @returns false for a small index. */
  async #open(): Promise<boolean> {
    if ((await this.#source.count()) < this.#options.minItems) {
      this.#unplaced.clear();
      return false;
    }
    await this.#graph?.close();
    this.#placed = await this.#load();
    for await (const ids of slices(this.#source.ids())) this.#mark(ids);
    for await (const ids of slices(this.#placed.keys())) this.#mark(ids);
    this.#changes = 0;
    this.#logger.info({ saved: this.size, items: this.#unplaced.size }, 'graph opened');
    return true;
  }

  async #load(): Promise<Placed> {
    this.#graph = new NeighborGraph(this.#options);
    try {
      const way = this.#options.memoryMapped ? 'map' : 'load';
      return (await this.#folder.load(this.#graph, way)) ?? new Map();
    } catch (error) {
      this.#logger.warn({ reason: messageOf(error) }, 'saved graph is no good: building it anew');
      // One that was half read is not built upon.
      await this.#graph.close();
      this.#graph = new NeighborGraph(this.#options);
      return new Map();
    }
  }

  async #placeSome(): Promise<void> {
    const marks = [...this.#unplaced.entries().take(MAX_IDS_PER_STEP)];
    const graph = this.#graph as NeighborGraph;
    const { ids, vectors } = await this.#source.vectorsOf(BigInt64Array.from(marks, ([id]) => id));
    const there = new Set(ids);
    const gone = marks.map(([id]) => id).filter((id) => this.#placed.has(id) && !there.has(id));
    await graph.remove(BigInt64Array.from(gone));
    for (const id of gone) this.#placed.delete(id);
    const moved = this.#movedItems(ids, vectors);
    // Until it is there anew it counts as not placed: should the call fail half way, it is placed again.
    for (const id of moved.ids) this.#placed.delete(id);
    await graph.replace(moved.ids, moved.vectors);
    for (const [index, id] of moved.ids.entries()) this.#placed.set(id, moved.checksums[index] as number);
    this.#changes += gone.length + moved.ids.length;
    for (const [id, mark] of marks) if (this.#unplaced.get(id) === mark) this.#unplaced.delete(id);
  }

  /** Those that the graph has not, or with another vector. */
  #movedItems(
    ids: BigInt64Array,
    vectors: Float32Array,
  ): { readonly ids: BigInt64Array; readonly vectors: Float32Array; readonly checksums: readonly number[] } {
    const { dimension } = this.#options;
    const row = (index: number): Float32Array => vectors.subarray(index * dimension, (index + 1) * dimension);
    const checksums = Array.from(ids, (_, index) => checksumOf(row(index)));
    const moved = checksums.flatMap((checksum, index) =>
      this.#placed.get(ids[index] as bigint) === checksum ? [] : [index],
    );
    const packed = new Float32Array(moved.length * dimension);
    for (const [at, index] of moved.entries()) packed.set(row(index), at * dimension);
    return {
      ids: BigInt64Array.from(moved, (index) => ids[index] as bigint),
      vectors: packed,
      checksums: moved.map((index) => checksums[index] as number),
    };
  }

  /** A graph that cannot be saved answers all the same. */
  async #save(): Promise<void> {
    const started = performance.now();
    try {
      await this.#folder.save(this.#graph as NeighborGraph, this.#placed);
    } catch (error) {
      this.#retryAtChanges = this.#changes * 2;
      this.#logger.error({ err: error }, 'graph was not saved');
      return;
    }
    this.#changes = 0;
    this.#retryAtChanges = 0;
    const durationMs = Math.round(performance.now() - started);
    this.#logger.info({ items: this.size, durationMs }, 'graph saved');
  }
}

const checksumOf = ({ buffer, byteOffset, byteLength }: Float32Array): number =>
  crc32(new Uint8Array(buffer, byteOffset, byteLength));
