import { type ByteDatabase, Environment } from '@online-cnclip/image-cache';

/** A query that was accepted and has not ended. */
export interface PendingQuery {
  readonly query: string;
  readonly wanted: number;
  readonly refresh: boolean;
  /** Milliseconds since 1970. */
  readonly acceptedAt: number;
}

const PENDING = 'pending';

/** Queries are few hundred bytes, and as many as are accepted at once. */
const MAX_BYTES = 2 ** 28;

/** Queries that were accepted, on the disk until their outcome is in the cache: nothing that ends the process loses one. */
export class PendingQueries {
  readonly #environment: Environment;
  readonly #database: ByteDatabase;

  constructor(folder: string) {
    this.#environment = Environment.open(folder, { databases: [PENDING], maxBytes: MAX_BYTES });
    this.#database = this.#environment.database(PENDING);
  }

  all(): { normalized: string; pending: PendingQuery }[] {
    return [...this.#database.getRange()].map(({ key, value }) => ({
      normalized: key.toString('utf8'),
      pending: JSON.parse(value.toString('utf8')) as PendingQuery,
    }));
  }

  /** On the disk when it returns. */
  add(normalized: string, pending: PendingQuery): void {
    const value = Buffer.from(JSON.stringify(pending));
    this.#environment.write(() => this.#database.putSync(Buffer.from(normalized), value));
  }

  remove(normalized: string): void {
    this.#environment.write(() => this.#database.removeSync(Buffer.from(normalized)));
  }

  close(): Promise<void> {
    return this.#environment.close();
  }
}
