import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createIndex,
  type EmbeddingIndex,
  type IndexOptions,
  loadSnapshot,
  saveSnapshot,
} from '@online-cnclip/embedding-index';
import { AlreadyExistsError, NotFoundError, ResourceExhaustedError } from '@online-cnclip/foundation';
import { requireIndexName } from './index-name.ts';

/** Each index holds memory even when it is empty, and is a file to look after. */
export const MAX_INDEXES = 256;

const EXTENSION = '.index';

/** An index by its name. */
export interface NamedIndex {
  readonly name: string;
  readonly index: EmbeddingIndex;
}

export interface CatalogOptions {
  /** Where snapshots are; made when it is not there. */
  readonly folder: string;
  readonly maxItems: number;
}

interface Entry extends NamedIndex {
  readonly path: string;
  /** The index's revision in its file. */
  savedRevision: number;
}

/**
 * Named indexes in memory, with a snapshot of each in a folder. What was changed since the last {@link saveChanged} is lost when
 * the process is killed; creating and dropping are not.
 */
export class IndexCatalog {
  readonly #options: CatalogOptions;
  readonly #entries = new Map<string, Entry>();
  /** Changes of the folder, one after another. */
  #files: Promise<unknown> = Promise.resolve();

  constructor(options: CatalogOptions) {
    this.#options = options;
  }

  /** Loads every snapshot of the folder. @throws DataLossError naming the one that is damaged. */
  static async open(options: CatalogOptions): Promise<IndexCatalog> {
    const catalog = new IndexCatalog(options);
    await mkdir(options.folder, { recursive: true });
    for (const file of await readdir(options.folder)) {
      if (file.startsWith('.') || !file.endsWith(EXTENSION)) continue;
      const name = requireIndexName(file.slice(0, -EXTENSION.length), options.folder);
      const path = join(options.folder, file);
      const index = await loadSnapshot(path, { maxItems: options.maxItems });
      catalog.#entries.set(name, { name, index, path, savedRevision: index.revision });
    }
    return catalog;
  }

  /** In the order of their names. */
  list(): NamedIndex[] {
    return [...this.#entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws InvalidInputError when it is not a name, NotFoundError when there is none of that name. */
  get(name: string): NamedIndex {
    const entry = this.#entries.get(requireIndexName(name));
    if (!entry) throw new NotFoundError(`there is no index ${name}`);
    return entry;
  }

  /** An empty index, on disk when the promise resolves. @throws AlreadyExistsError, ResourceExhaustedError. */
  create(name: string, options: Pick<IndexOptions, 'dimension' | 'fingerprint'>): Promise<NamedIndex> {
    requireIndexName(name);
    return this.#changeFiles(async () => {
      if (this.#entries.has(name)) throw new AlreadyExistsError(`index ${name} is there already`);
      if (this.#entries.size >= MAX_INDEXES)
        throw new ResourceExhaustedError(`there are ${MAX_INDEXES} indexes, which is the limit`);
      const index = createIndex({ ...options, maxItems: this.#options.maxItems });
      const path = join(this.#options.folder, `${name}${EXTENSION}`);
      const entry = { name, index, path, savedRevision: await saveSnapshot(index, path) };
      this.#entries.set(name, entry);
      return entry;
    });
  }

  /** Removes an index and its file. @returns the items it held. @throws NotFoundError. */
  drop(name: string): Promise<number> {
    return this.#changeFiles(async () => {
      const { index } = this.get(name);
      const { path } = this.#entries.get(name) as Entry;
      this.#entries.delete(name);
      await rm(path, { force: true });
      return index.size;
    });
  }

  /** Writes the snapshots of the indexes that have changed since theirs. @returns their names. */
  saveChanged(): Promise<string[]> {
    return this.#changeFiles(async () => {
      const saved: string[] = [];
      for (const entry of this.#entries.values()) {
        if (entry.index.revision === entry.savedRevision) continue;
        entry.savedRevision = await saveSnapshot(entry.index, entry.path);
        saved.push(entry.name);
      }
      return saved;
    });
  }

  #changeFiles<T>(work: () => Promise<T>): Promise<T> {
    const running = this.#files.then(work);
    this.#files = running.catch(() => {}); // Heard by its caller; the next change goes ahead.
    return running;
  }
}
