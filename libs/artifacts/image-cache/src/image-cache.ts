import { FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import { type ByteDatabase, Environment } from './environment.ts';
import {
  type CachedImage,
  type CachedQuery,
  type FailureReason,
  type NewImage,
  QUERY_STATES,
  type QueryOutcome,
  type StoredImage,
} from './outcome.ts';
import { cacheKey, requireQuery } from './query.ts';
import { decodeQuery, encodeQuery } from './records.ts';
import { looksAlike } from './signature.ts';

/** Of one query; the contract gives out no more. */
export const MAX_IMAGES_PER_QUERY = 100;

const QUERIES = 'queries';
const IMAGES = 'images';
/** Time of the latest attempt and the query's key, for every query that was deferred or failed. */
const FAILURES = 'failures';
const META = 'meta';
const NEXT_IMAGE_ID = Buffer.from('next_image_id');

const ID_BYTES = 8;
const PRESENT = Buffer.from([1]);

export interface ImageCacheOptions {
  /** For another process's cache, which may be written to meanwhile. */
  readonly readOnly?: boolean;
  /** Most that the cache may grow to; none: as much as the disk takes. */
  readonly maxBytes?: number;
  /** The clock, for tests. */
  readonly now?: () => Date;
}

export interface FailureFilter {
  /** Empty means all. */
  readonly reasons?: readonly FailureReason[];
}

/**
 * What was crawled: per query how it ended and its images, in an LMDB in a folder of its own.
 *
 * Queries that differ in spaces and Chinese punctuation only are one. There is never a placeholder: a query has the
 * images that were fetched for it, or none. Calls are synchronous; a `put` is on the disk when it returns.
 */
export interface ImageCache {
  /** @throws InvalidInputError when the query is no good. */
  get(query: string): CachedQuery | undefined;
  /** The first images of a query in the site's order, all of them without a limit; none when it has none. */
  images(query: string, limit?: number): CachedImage[];
  /**
   * Notes the end of an attempt, with its images, as a whole or not at all. Images that are there stay, behind the
   * new ones and known by their ids; so a refresh that fails takes nothing away, and the query stays OK.
   *
   * @throws InvalidInputError, StorageFullError.
   */
  put(query: string, outcome: QueryOutcome): CachedQuery;
  /** Queries whose latest attempt was deferred or failed, the latest first. */
  failures(filter?: FailureFilter, limit?: number): { failures: CachedQuery[]; total: number };
  /** Every query, in no order that means anything. */
  queries(): Iterable<CachedQuery>;
  /** Again does nothing. */
  close(): Promise<void>;
}

/** @throws NotFoundError (to read only), DataLossError, UnsupportedError, FailedPreconditionError. */
export function openImageCache(folder: string, options: ImageCacheOptions = {}): ImageCache {
  return new LmdbImageCache(folder, options);
}

class LmdbImageCache implements ImageCache {
  readonly #environment: Environment;
  readonly #queries: ByteDatabase;
  readonly #images: ByteDatabase;
  readonly #failures: ByteDatabase;
  readonly #meta: ByteDatabase;
  readonly #readOnly: boolean;
  readonly #now: () => Date;
  #closed = false;

  constructor(folder: string, { readOnly = false, maxBytes, now = () => new Date() }: ImageCacheOptions) {
    this.#environment = Environment.open(folder, {
      readOnly,
      databases: [QUERIES, IMAGES, FAILURES, META],
      ...(maxBytes !== undefined && { maxBytes }),
    });
    this.#queries = this.#environment.database(QUERIES);
    this.#images = this.#environment.database(IMAGES);
    this.#failures = this.#environment.database(FAILURES);
    this.#meta = this.#environment.database(META);
    this.#readOnly = readOnly;
    this.#now = now;
  }

  get(query: string): CachedQuery | undefined {
    const key = cacheKey(requireQuery(query));
    this.#environment.refresh();
    return this.#read(key);
  }

  images(query: string, limit = MAX_IMAGES_PER_QUERY): CachedImage[] {
    const images = this.get(query)?.images ?? [];
    return images.slice(0, limit).flatMap((image) => {
      const jpeg = this.#images.getBinary(idKey(image.imageId));
      return jpeg ? [{ ...image, jpeg }] : [];
    });
  }

  put(query: string, outcome: QueryOutcome): CachedQuery {
    const normalized = requireQuery(query);
    requireOutcome(outcome);
    // The environment itself may be shared with somebody who writes.
    if (this.#readOnly) throw new FailedPreconditionError('the cache is open for reading only');
    const key = cacheKey(normalized);
    return this.#environment.write(() => {
      const before = this.#read(key);
      const now = this.#now();
      const images = outcome.state === 'OK' ? this.#keep(outcome.images, before) : (before?.images ?? []);
      const record: CachedQuery = {
        query: before?.query ?? query,
        normalized,
        images,
        firstAttemptAt: before?.firstAttemptAt ?? now,
        lastAttemptAt: now,
        attempts: (before?.attempts ?? 0) + 1,
        ...endOf(outcome, images, before),
      };
      if (before?.failure) this.#failures.removeSync(failureKey(before, key));
      if (record.failure) this.#failures.putSync(failureKey(record, key), PRESENT);
      this.#queries.putSync(key, encodeQuery(record));
      return record;
    });
  }

  failures({ reasons = [] }: FailureFilter = {}, limit = Number.POSITIVE_INFINITY) {
    this.#environment.refresh();
    const failures: CachedQuery[] = [];
    let total = 0;
    for (const key of this.#failures.getKeys({ reverse: true })) {
      const record = this.#read(Buffer.from(key.subarray(ID_BYTES)));
      if (!record?.failure || (reasons.length > 0 && !reasons.includes(record.failure.reason))) continue;
      total += 1;
      if (failures.length < limit) failures.push(record);
    }
    return { failures, total };
  }

  *queries(): Generator<CachedQuery, void, undefined> {
    this.#environment.refresh();
    for (const { value } of this.#queries.getRange()) yield decodeQuery(value, this.#environment.folder);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#environment.close();
  }

  #read(key: Buffer): CachedQuery | undefined {
    const bytes = this.#queries.getBinary(key);
    return bytes && decodeQuery(bytes, this.#environment.folder);
  }

  /** New images in their order, then those of before that are not among them. */
  #keep(images: readonly NewImage[], before: CachedQuery | undefined): StoredImage[] {
    const old = [...(before?.images ?? [])];
    const kept: StoredImage[] = [];
    for (const image of images) {
      if (kept.some((other) => isSame(other, image))) continue;
      const at = old.findIndex((other) => isSame(other, image));
      kept.push(at >= 0 ? (old.splice(at, 1)[0] as StoredImage) : this.#store(image));
    }
    const others = old.filter((image) => !kept.some((other) => isSame(other, image)));
    const all = [...kept, ...others];
    const dropped = new Set(
      [...old, ...all].filter((image) => !all.slice(0, MAX_IMAGES_PER_QUERY).includes(image)),
    );
    for (const { imageId } of dropped) this.#images.removeSync(idKey(imageId));
    return all.slice(0, MAX_IMAGES_PER_QUERY);
  }

  #store({ jpeg, ...provenance }: NewImage): StoredImage {
    const imageId = this.#meta.getBinary(NEXT_IMAGE_ID)?.readBigUInt64BE() ?? 1n;
    this.#meta.putSync(NEXT_IMAGE_ID, idKey(imageId + 1n));
    this.#images.putSync(idKey(imageId), jpeg);
    return { ...provenance, imageId };
  }
}

function endOf(
  outcome: QueryOutcome,
  images: readonly StoredImage[],
  before: CachedQuery | undefined,
): Pick<CachedQuery, 'state' | 'wanted' | 'failure' | 'retryAt' | 'failedAttempts'> {
  const wanted = Math.max(before?.wanted ?? 0, outcome.state === 'OK' ? outcome.wanted : 0);
  const state = images.length > 0 ? 'OK' : outcome.state;
  if (outcome.state === 'OK' || outcome.state === 'NO_RESULTS')
    return { state, wanted, failure: undefined, retryAt: undefined, failedAttempts: 0 };
  return {
    state,
    wanted,
    failure: { reason: outcome.failure.reason, message: outcome.failure.message },
    retryAt: outcome.state === 'DEFERRED' ? outcome.until : outcome.retryAt,
    failedAttempts: (before?.failedAttempts ?? 0) + 1,
  };
}

function requireOutcome(outcome: QueryOutcome): void {
  if (!QUERY_STATES.includes(outcome.state))
    throw new InvalidInputError(
      `unknown query state ${JSON.stringify((outcome as { state: unknown }).state)}`,
      {
        place: 'outcome',
      },
    );
  if (outcome.state !== 'OK') return;
  if (outcome.images.length === 0) throw new InvalidInputError('OK without an image', { place: 'outcome' });
  for (const { jpeg } of outcome.images)
    if (jpeg.length === 0) throw new InvalidInputError('an image without bytes', { place: 'outcome' });
}

const isSame = (a: StoredImage | NewImage, b: StoredImage | NewImage): boolean =>
  a.sourceSha256.equals(b.sourceSha256) || looksAlike(a.signature, b.signature);

function idKey(id: bigint): Buffer {
  const key = Buffer.alloc(ID_BYTES);
  key.writeBigUInt64BE(id);
  return key;
}

const failureKey = ({ lastAttemptAt }: CachedQuery, key: Buffer): Buffer =>
  Buffer.concat([idKey(BigInt(lastAttemptAt.getTime())), key]);
