import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  DataLossError,
  InvalidInputError,
  type Logger,
  ResourceExhaustedError,
  UnavailableError,
} from '@online-cnclip/foundation';
import { type Description, parseDescription, stringifyDescription } from '../durable/description.ts';
import { type EncodedOperation, encodeOperation, MAX_FRAME_BYTES, type Operation } from '../durable/frame.ts';
import { ItemFile } from '../durable/item-file.ts';
import type { Attributes, SearchHits, VectorBatch, VectorSearchOptions } from '../port.ts';
import type { CodeProducts } from './code-products.ts';
import { copyLiving } from './compact.ts';
import { rankRows, readRows } from './rank-rows.ts';
import { RowTable } from './row-table.ts';
import { searchRows } from './search-rows.ts';

/** Operations that wait while a frame is being written go into the next one together, up to so many bytes. */
const GROUP_BYTES = 16 * 1024 * 1024;

/** Dead rows stay until they are so large a share: replacing one item then costs next to nothing on average. */
const MAX_DEAD_SHARE = 0.2;

/** Below so many dead rows the share does not matter. */
const MIN_DEAD_ROWS = 1_024;

export interface ExactIndexOptions {
  readonly name: string;
  readonly maxItems: number;
  readonly products: CodeProducts;
  readonly logger: Logger;
  /** Called with the time that making a group of changes durable took. */
  readonly onCommitted: (durationMs: number) => void;
}

interface Pending {
  readonly operation: Operation;
  readonly encoded: EncodedOperation;
  readonly resolve: (wasThere: boolean[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Vectors by 64-bit id in one append-only file, searched exactly by cosine. A change is in the file before it is acknowledged or
 * seen; a search sees the items of one moment.
 */
export class ExactIndex {
  readonly name: string;
  readonly dimension: number;
  readonly fingerprint: string | undefined;
  readonly createTime: Date;
  readonly #description: Description;
  readonly #options: ExactIndexOptions;
  #table: RowTable;
  #file: ItemFile;
  readonly #pending: Pending[] = [];
  #committing: Promise<void> = Promise.resolve();
  #isCommitting = false;
  #closed: Error | undefined;
  #minDeadRows = MIN_DEAD_ROWS;

  private constructor(description: Description, table: RowTable, file: ItemFile, options: ExactIndexOptions) {
    this.name = options.name;
    this.dimension = description.dimension;
    this.fingerprint = description.fingerprint;
    this.createTime = description.createTime;
    this.#description = description;
    this.#options = options;
    this.#table = table;
    this.#file = file;
  }

  /** An empty index in a new file, which appears whole under its path. */
  static async create(
    path: string,
    description: Description,
    options: ExactIndexOptions,
  ): Promise<ExactIndex> {
    const file = await createItemFile(`${hidden(path)}.new`, description);
    await file.publish(path);
    return new ExactIndex(description, new RowTable(description.dimension), file, options);
  }

  /** Reads a file into memory. @throws DataLossError naming it when it is damaged. */
  static async open(path: string, options: ExactIndexOptions): Promise<ExactIndex> {
    let description: Description | undefined;
    let table: RowTable | undefined;
    const { file, cutBytes } = await ItemFile.open(
      path,
      ({ operation, vectorsAt }) => table?.apply(operation, vectorsAt),
      (text) => {
        description = parseDescription(text, path);
        table = new RowTable(description.dimension);
        return description.dimension;
      },
    );
    if (!description || !table) {
      await file.release();
      throw new DataLossError('holds no index', { place: path });
    }
    if (cutBytes > 0)
      options.logger.warn({ index: options.name, cutBytes }, 'an unfinished write was cut off the end');
    return new ExactIndex(description, table, file, options);
  }

  count(): Promise<number> {
    return this.#use(async () => this.#table.size);
  }

  /** Items it holds, now. */
  get size(): number {
    return this.#table.size;
  }

  async upsert({ ids, vectors, attributes }: VectorBatch): Promise<void> {
    if (vectors.length !== ids.length * this.dimension)
      throw new InvalidInputError(
        `${vectors.length} numbers are not ${ids.length} vectors of ${this.dimension}`,
        { place: `index ${this.name}` },
      );
    const some = attributes?.some((one) => Object.keys(one).length > 0);
    await this.#write({ kind: 'upsert', ids, vectors, attributes: some ? attributes : undefined });
  }

  delete(ids: BigInt64Array): Promise<boolean[]> {
    return this.#write({ kind: 'delete', ids });
  }

  attributesOf(ids: BigInt64Array): Promise<(Attributes | undefined)[]> {
    return this.#use(async () => Array.from(ids, (id) => this.#table.attributesOfItem(id)));
  }

  search(queries: Float32Array, options: VectorSearchOptions): Promise<SearchHits[]> {
    return this.#use(async (table, file) => {
      const { products } = this.#options;
      return searchRows({ table, file, products }, queries, options);
    });
  }

  /** The id of every item of this moment, in the order they were written. */
  ids(): BigInt64Array {
    return this.#table.livingIds();
  }

  /**
   * The vectors, as they are now, of those ids that are there.
   *
   * @returns ids in the order given, vectors float32 `[ids, dimension]`.
   */
  vectorsOf(
    ids: BigInt64Array,
  ): Promise<{ readonly ids: BigInt64Array<ArrayBuffer>; readonly vectors: Float32Array<ArrayBuffer> }> {
    return this.#use(async (table, file) => {
      const found = [...ids].flatMap((id) => table.rowOf(id) ?? []);
      return {
        ids: BigInt64Array.from(found, (row) => table.idOf(row)),
        vectors: readRows(table, file, found),
      };
    });
  }

  /** As `search`, among some ids for each query; those that are not there do not count. */
  rank(
    queries: Float32Array,
    candidates: readonly BigInt64Array[],
    options: VectorSearchOptions,
  ): Promise<SearchHits[]> {
    return this.#use((table, file) => rankRows({ table, file }, queries, candidates, options));
  }

  /**
   * Ends its use once what was begun has ended.
   *
   * @param reason what later calls throw.
   */
  async close(reason: Error = new UnavailableError(`index ${this.name} is closed`)): Promise<void> {
    if (this.#closed) return;
    this.#closed = reason;
    await this.#committing;
    await this.#file.release();
  }

  /** Works on the items of now, whose file stays open meanwhile. */
  async #use<T>(work: (table: RowTable, file: ItemFile) => Promise<T>): Promise<T> {
    if (this.#closed) throw this.#closed;
    const [table, file] = [this.#table, this.#file];
    file.retain();
    try {
      return await work(table, file);
    } finally {
      await file.release();
    }
  }

  async #write(operation: Exclude<Operation, { kind: 'describe' }>): Promise<boolean[]> {
    if (this.#closed) throw this.#closed;
    if (operation.ids.length === 0) return [];
    const encoded = encodeOperation(operation);
    if (encoded.bytes > MAX_FRAME_BYTES)
      throw new InvalidInputError(`${encoded.bytes} bytes are more than ${MAX_FRAME_BYTES} in one call`, {
        place: `index ${this.name}`,
      });
    return new Promise((resolve, reject) => {
      this.#pending.push({ operation, encoded, resolve, reject });
      if (this.#isCommitting) return;
      this.#isCommitting = true;
      this.#committing = this.#commitPending();
    });
  }

  async #commitPending(): Promise<void> {
    // Those that come in the same turn share the first frame.
    await Promise.resolve();
    try {
      while (this.#pending.length > 0) {
        const group = this.#takeGroup();
        if (group.length > 0) await this.#commit(group);
        if (this.#isSparse()) await this.#compact();
      }
    } finally {
      // In the same turn in which nothing was left: who comes next begins anew.
      this.#isCommitting = false;
    }
  }

  /** The next operations, as many as fit in a frame; one that the index has no room for is refused. */
  #takeGroup(): Pending[] {
    const group: Pending[] = [];
    const added = new Set<bigint>();
    let bytes = 0;
    for (let next = this.#pending[0]; next; next = this.#pending[0]) {
      if (group.length > 0 && bytes + next.encoded.bytes > GROUP_BYTES) break;
      this.#pending.shift();
      const refusal = this.#reserve(next.operation, added);
      if (refusal) {
        next.reject(refusal);
        continue;
      }
      bytes += next.encoded.bytes;
      group.push(next);
    }
    return group;
  }

  /** @param added ids that the group adds; those of the operation join it unless there is no room. */
  #reserve(operation: Operation, added: Set<bigint>): Error | undefined {
    if (operation.kind !== 'upsert') return undefined;
    const fresh = new Set([...operation.ids].filter((id) => !this.#table.has(id) && !added.has(id)));
    const { maxItems } = this.#options;
    const held = this.#table.size + added.size;
    if (held + fresh.size > maxItems)
      return new ResourceExhaustedError(
        `${fresh.size} more items do not fit: the index holds ${held} of at most ${maxItems}`,
        { place: `index ${this.name}` },
      );
    for (const id of fresh) added.add(id);
    return undefined;
  }

  async #commit(group: readonly Pending[]): Promise<void> {
    let payloadAt: number;
    const started = performance.now();
    try {
      payloadAt = await this.#file.append(group.map(({ encoded }) => encoded));
    } catch (error) {
      for (const { reject } of group) reject(error);
      return;
    }
    this.#options.onCommitted(performance.now() - started);
    for (const { operation, encoded, resolve } of group) {
      resolve(this.#table.apply(operation, payloadAt + encoded.vectorsAt));
      payloadAt += encoded.bytes;
    }
  }

  #isSparse(): boolean {
    const { deadRows, size } = this.#table;
    return deadRows >= this.#minDeadRows && deadRows > (size + deadRows) * MAX_DEAD_SHARE;
  }

  /** Writes the living items into a file of their own and goes on with that. Changes wait, searches do not. */
  async #compact(): Promise<void> {
    const old = this.#file;
    const { logger } = this.#options;
    const temporaryPath = `${hidden(old.path)}.compact`;
    const started = performance.now();
    try {
      const file = await createItemFile(temporaryPath, this.#description);
      const table = await copyLiving(this.#table, old, file);
      await file.publish(old.path);
      this.#table = table;
      this.#file = file;
      this.#minDeadRows = MIN_DEAD_ROWS;
      await old.release();
      const durationMs = Math.round(performance.now() - started);
      logger.info({ index: this.name, items: table.size, bytes: file.size, durationMs }, 'index compacted');
    } catch (error) {
      // The old file is whole and stays in use; a full disk may have room when as many rows more have died.
      this.#minDeadRows = this.#table.deadRows * 2;
      await rm(temporaryPath, { force: true });
      logger.error({ err: error, index: this.name }, 'index was not compacted');
    }
  }
}

/** A temporary name beside a file, which no index can have. */
const hidden = (path: string): string => join(dirname(path), `.${basename(path)}`);

/** A file that holds a description and nothing else; not yet durable. */
export async function createItemFile(path: string, description: Description): Promise<ItemFile> {
  await rm(path, { force: true });
  const file = await ItemFile.create(path);
  await file.append([encodeOperation({ kind: 'describe', text: stringifyDescription(description) })], false);
  return file;
}
