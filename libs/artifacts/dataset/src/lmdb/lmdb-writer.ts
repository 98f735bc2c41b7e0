import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { DATA_FILE, LmdbReader } from './lmdb-reader.ts';

const MAP_FULL = -30_792;

/** Key and value as bytes; both may be reused once `insert` has resolved. */
export type LmdbPut = readonly [key: Buffer, value: Buffer];

/**
 * Fills a new LMDB environment: the only place that touches the native addon.
 *
 * The map grows by itself: a transaction that finds it full is undone, the environment opened again with twice the
 * map, and the transaction repeated. (The research code's map of 1 TiB is only address space, but more of that than
 * `ulimit -v` or a container may allow.) It is durable only after `sync`: the folder is nobody's until then.
 */
export class LmdbWriter {
  readonly #folder: string;
  #mapBytes: number;
  #database: RootDatabase<Buffer, Buffer>;

  /** @param folder is created when it does not exist. */
  constructor(folder: string, mapBytes: number) {
    this.#folder = folder;
    this.#mapBytes = mapBytes;
    this.#database = openForWriting(folder, mapBytes);
  }

  /**
   * Puts entries whose keys are new, in one transaction.
   *
   * @returns the index of the first entry whose key was there already, after which nothing was put; -1 when none was.
   */
  async insert(entries: readonly LmdbPut[]): Promise<number> {
    for (;;) {
      try {
        return this.#database.transactionSync(() => this.#putNew(entries));
      } catch (error) {
        if ((error as { code?: unknown }).code !== MAP_FULL) throw error;
        await this.#grow();
      }
    }
  }

  /**
   * Ends writing; the environment can be read, but is not yet durable.
   *
   * @throws UnsupportedError when the addon was built for a data format that Python's lmdb does not read.
   */
  async close(): Promise<void> {
    await this.#database.close();
    new LmdbReader(this.#folder).close();
  }

  /** After `close`: resolves when the environment is on the disk. */
  async sync(): Promise<void> {
    const file = await openFile(join(this.#folder, DATA_FILE), 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Closes what will be thrown away. */
  async abandon(): Promise<void> {
    await this.#database.close();
  }

  #putNew(entries: readonly LmdbPut[]): number {
    return entries.findIndex(([key, value]) => !this.#putIfNew(key, value));
  }

  #putIfNew(key: Buffer, value: Buffer): boolean {
    // lmdb's types say void; it returns whether the entry was put.
    return this.#database.putSync(key, value, { noOverwrite: true }) as unknown as boolean;
  }

  async #grow(): Promise<void> {
    await this.#database.close();
    this.#mapBytes *= 2;
    this.#database = openForWriting(this.#folder, this.#mapBytes);
  }
}

function openForWriting(path: string, mapSize: number): RootDatabase<Buffer, Buffer> {
  return open<Buffer, Buffer>({
    path,
    mapSize,
    maxDbs: 1,
    encoding: 'binary',
    keyEncoding: 'binary',
    noSync: true,
  });
}
