import { mkdir, readdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  AlreadyExistsError,
  FailedPreconditionError,
  type Logger,
  NotFoundError,
  ResourceExhaustedError,
  silentLogger,
  syncPath,
} from '@online-cnclip/foundation';
import { AliasFile } from '../durable/alias-file.ts';
import { FolderLock } from '../durable/folder-lock.ts';
import { requireLittleEndian } from '../files/byte-order.ts';
import { DEFAULT_MAX_ITEMS, MAX_INDEXES } from '../limits.ts';
import type { IndexSpec } from '../port.ts';
import { requireDimension } from '../scoring/vector-table.ts';
import { CodeProducts } from './code-products.ts';
import { ExactIndex, type ExactIndexOptions } from './exact-index.ts';
import { migrateSnapshot } from './migrate-snapshot.ts';

const EXTENSION = '.items';

/** Of the snapshots that earlier versions wrote. */
const SNAPSHOT_EXTENSION = '.index';

export interface ExactEngineOptions {
  /** Where the indexes are; made when it is not there. */
  readonly folder: string;
  /** Of one index. */
  readonly maxItems?: number;
  /** That compute one search; default: one per core. */
  readonly threads?: number;
  readonly logger?: Logger;
  /** Called with the time that making a group of changes durable took. */
  readonly onCommitted?: (durationMs: number) => void;
}

/** Named indexes in a folder, one file each, and aliases of them. One process at a time has a folder. */
export class ExactEngine {
  readonly #options: Required<ExactEngineOptions>;
  readonly #products: CodeProducts;
  readonly #lock: FolderLock;
  readonly #aliases: AliasFile;
  readonly #indexes = new Map<string, ExactIndex>();
  /** Changes of the folder, one after another. */
  #files: Promise<unknown> = Promise.resolve();

  private constructor(options: Required<ExactEngineOptions>, lock: FolderLock, aliases: AliasFile) {
    this.#options = options;
    this.#products = new CodeProducts(options.threads);
    this.#lock = lock;
    this.#aliases = aliases;
  }

  /**
   * Reads every index of a folder, and takes over the snapshots of earlier versions.
   *
   * @throws DataLossError naming the file that is damaged, FailedPreconditionError when another process has the folder.
   */
  static async open({
    folder,
    maxItems = DEFAULT_MAX_ITEMS,
    threads = availableParallelism(),
    logger = silentLogger,
    onCommitted = () => {},
  }: ExactEngineOptions): Promise<ExactEngine> {
    requireLittleEndian();
    await mkdir(folder, { recursive: true });
    const lock = await FolderLock.take(folder);
    try {
      const aliases = await AliasFile.open(folder);
      const engine = new ExactEngine({ folder, maxItems, threads, logger, onCommitted }, lock, aliases);
      await engine.#load();
      return engine;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** @throws AlreadyExistsError, ResourceExhaustedError when there are {@link MAX_INDEXES}. */
  create({ name, dimension, fingerprint }: IndexSpec): Promise<ExactIndex> {
    requireDimension(dimension);
    return this.#changeFiles(async () => {
      if (this.#indexes.has(name)) throw new AlreadyExistsError(`index ${name} is there already`);
      const target = this.#aliases.get(name);
      if (target !== undefined) throw new AlreadyExistsError(`${name} is an alias of index ${target}`);
      if (this.#indexes.size >= MAX_INDEXES)
        throw new ResourceExhaustedError(`there are ${MAX_INDEXES} indexes, which is the limit`);
      const description = { dimension, fingerprint, createTime: new Date() };
      const index = await ExactIndex.create(this.#pathOf(name), description, this.#optionsOf(name));
      this.#indexes.set(name, index);
      return index;
    });
  }

  /** @throws NotFoundError when neither an index nor an alias has that name. */
  async open(nameOrAlias: string): Promise<ExactIndex> {
    const index = this.#indexes.get(this.#aliases.get(nameOrAlias) ?? nameOrAlias);
    if (!index) throw missing(nameOrAlias);
    return index;
  }

  async list(): Promise<readonly ExactIndex[]> {
    return [...this.#indexes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws NotFoundError, FailedPreconditionError while an alias leads to it. */
  drop(name: string): Promise<void> {
    return this.#changeFiles(async () => {
      const index = this.#indexes.get(name);
      if (!index) throw missing(name);
      for (const [alias, target] of this.#aliases.entries())
        if (target === name)
          throw new FailedPreconditionError(`index ${name} is what the alias ${alias} leads to`);
      this.#indexes.delete(name);
      await rm(this.#pathOf(name), { force: true });
      await syncPath(this.#options.folder);
      await index.close(missing(name));
    });
  }

  /** @throws NotFoundError when there is no such index, AlreadyExistsError when an index has the alias's name. */
  setAlias(alias: string, name: string): Promise<string | undefined> {
    return this.#changeFiles(async () => {
      if (!this.#indexes.has(name)) throw missing(name);
      if (this.#indexes.has(alias)) throw new AlreadyExistsError(`there is an index ${alias} already`);
      return this.#aliases.set(alias, name);
    });
  }

  /** @throws NotFoundError when there is no such alias. */
  removeAlias(alias: string): Promise<void> {
    return this.#changeFiles(() => this.#aliases.remove(alias));
  }

  async aliases(): Promise<ReadonlyMap<string, string>> {
    return new Map(this.#aliases.entries());
  }

  /** Indexes that are open, and their items together: for gauges. */
  get totals(): { readonly indexes: number; readonly items: number } {
    let items = 0;
    for (const { size } of this.#indexes.values()) items += size;
    return { indexes: this.#indexes.size, items };
  }

  close(): Promise<void> {
    return this.#changeFiles(async () => {
      await Promise.all([...this.#indexes.values()].map((index) => index.close()));
      await this.#products.close();
      await this.#lock.release();
    });
  }

  async #load(): Promise<void> {
    const { folder } = this.#options;
    const files = await readdir(folder);
    for (const file of files)
      if (file.startsWith('.') && /\.(new|compact|migrate|tmp)$/.test(file))
        await rm(join(folder, file), { force: true, recursive: true });
    const visible = files.filter((file) => !file.startsWith('.'));
    for (const file of visible.filter((file) => file.endsWith(SNAPSHOT_EXTENSION))) {
      const name = file.slice(0, -SNAPSHOT_EXTENSION.length);
      const items = await migrateSnapshot(join(folder, file), this.#pathOf(name));
      this.#options.logger.info({ index: name, items }, 'a snapshot of an earlier version was taken over');
    }
    for (const file of await readdir(folder)) {
      if (file.startsWith('.') || !file.endsWith(EXTENSION)) continue;
      const name = file.slice(0, -EXTENSION.length);
      this.#indexes.set(name, await ExactIndex.open(join(folder, file), this.#optionsOf(name)));
    }
  }

  #pathOf(name: string): string {
    return join(this.#options.folder, `${name}${EXTENSION}`);
  }

  #optionsOf(name: string): ExactIndexOptions {
    const { maxItems, logger, onCommitted } = this.#options;
    return { name, maxItems, logger, onCommitted, products: this.#products };
  }

  #changeFiles<T>(work: () => Promise<T>): Promise<T> {
    const running = this.#files.then(work);
    this.#files = running.catch(() => {}); // Heard by its caller; the next change goes ahead.
    return running;
  }
}

const missing = (name: string): NotFoundError => new NotFoundError(`there is no index ${name}`);
