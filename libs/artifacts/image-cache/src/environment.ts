import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import {
  ApplicationError,
  FailedPreconditionError,
  messageOf,
  NotFoundError,
} from '@online-cnclip/foundation';
import { type Database, open, type RootDatabase } from 'lmdb';
import { checkPages } from './check-pages.ts';

/** Address space only, the file grows with what it holds: more images than a disk takes. */
export const LARGEST_MAP_BYTES = 2 ** 40;

/** Where address space is limited (`ulimit -v`), the map is made smaller down to this: some 8,000 images. */
const SMALLEST_MAP_BYTES = 2 ** 27;

const MAP_FULL = -30_792;

/** ENOSPC, EFBIG, EDQUOT, EIO on Linux: what a disk says that takes no more. */
const DISK_ERRORS = new Set([28, 27, 122, 5]);

/** The disk or the map is full, or the disk fails: nothing of the transaction was written, what was there stays. */
export class StorageFullError extends ApplicationError {
  readonly kind = 'resource-exhausted';
}

export interface EnvironmentOptions {
  readonly readOnly?: boolean;
  /** Named databases in it. */
  readonly databases: readonly string[];
  /** Most that it may grow to. */
  readonly maxBytes?: number;
}

export type ByteDatabase = Database<Buffer, Buffer>;

/**
 * An LMDB environment with named databases of bytes, in a folder of its own. One process writes or several do, any
 * number reads meanwhile. `write` is durable when it returns.
 *
 * Within one process an environment is opened once and shared: format v1 of LMDB loses its locks otherwise.
 */
export class Environment {
  readonly folder: string;
  readonly readOnly: boolean;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #databases: ReadonlyMap<string, ByteDatabase>;
  #users = 1;

  private constructor(folder: string, readOnly: boolean, { databases, maxBytes }: EnvironmentOptions) {
    this.folder = folder;
    this.readOnly = readOnly;
    this.#root = openLargest(folder, readOnly, databases.length, maxBytes);
    this.#databases = new Map(databases.map((name) => [name, this.#openDatabase(name)]));
  }

  /**
   * @param folder is created, unless it is only read.
   * @throws NotFoundError, DataLossError when the file is not LMDB's, UnsupportedError for another data format.
   */
  static open(folder: string, options: EnvironmentOptions): Environment {
    const { readOnly = false } = options;
    const file = join(folder, 'data.mdb');
    if (readOnly && !existsSync(file)) throw new NotFoundError('there is no such cache', { place: folder });
    makeFolder(folder);
    const path = realpathSync(folder);
    const shared = environments.get(path);
    if (shared?.readOnly && !readOnly)
      throw new FailedPreconditionError('this process has it open for reading', { place: folder });
    if (shared) {
      shared.#users += 1;
      return shared;
    }
    if (existsSync(file)) checkPages(file);
    const opened = new Environment(path, readOnly, options);
    environments.set(path, opened);
    return opened;
  }

  database(name: string): ByteDatabase {
    const database = this.#databases.get(name);
    if (!database) throw new FailedPreconditionError(`has no database ${name}`, { place: this.folder });
    return database;
  }

  /** Reads what other processes have committed until now. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  /**
   * Everything that `action` puts and removes, or nothing of it. On the disk when it returns.
   *
   * @throws StorageFullError, and what `action` throws.
   */
  write<T>(action: () => T): T {
    if (this.readOnly) throw new FailedPreconditionError('is open for reading only', { place: this.folder });
    try {
      return this.#root.transactionSync(action);
    } catch (error) {
      throw this.#storageError(error) ?? error;
    }
  }

  /** The last of those who opened it closes it. */
  async close(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    environments.delete(this.folder);
    await this.#root.close();
  }

  #openDatabase(name: string): ByteDatabase {
    return this.#root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' });
  }

  #storageError(error: unknown): StorageFullError | undefined {
    const { code } = error as { code?: unknown };
    if (code === MAP_FULL)
      return new StorageFullError('the map is full', { place: this.folder, cause: error });
    if (DISK_ERRORS.has(code as number))
      return new StorageFullError(`the disk takes no more: ${messageOf(error)}`, {
        place: this.folder,
        cause: error,
      });
    return undefined;
  }
}

/** By real path. */
const environments = new Map<string, Environment>();

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw new FailedPreconditionError(`the folder cannot be made: ${messageOf(cause)}`, {
      place: folder,
      cause,
    });
  }
}

function openLargest(
  path: string,
  readOnly: boolean,
  maxDbs: number,
  maxBytes = LARGEST_MAP_BYTES,
): RootDatabase<Buffer, Buffer> {
  for (let mapSize = maxBytes; ; mapSize /= 4) {
    try {
      return open<Buffer, Buffer>({
        path,
        mapSize,
        maxDbs,
        readOnly,
        encoding: 'binary',
        keyEncoding: 'binary',
      });
    } catch (cause) {
      if (mapSize / 4 < SMALLEST_MAP_BYTES)
        throw new FailedPreconditionError(`cannot be opened: ${messageOf(cause)}`, { place: path, cause });
    }
  }
}
