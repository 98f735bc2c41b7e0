/** How a query ended. */
export const QUERY_STATES = ['OK', 'NO_RESULTS', 'DEFERRED', 'FAILED'] as const;
export type QueryState = (typeof QUERY_STATES)[number];

/** Why a query was deferred or failed. */
export const FAILURE_REASONS = [
  'invalid-query',
  'no-session',
  'rate-limited',
  'challenge',
  'logged-out',
  'navigation',
  'browser',
  'profile-mismatch',
  'images',
  'storage',
] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

/** Where an image came from. */
export interface Provenance {
  /** Where the original was fetched from. */
  readonly sourceUrl: string;
  /** The page it was found on; empty where that is not known. */
  readonly pageUrl: string;
  /** Of the original file, 32 bytes. */
  readonly sourceSha256: Buffer;
  /** Signature of what it looks like (see perceptualSignature). */
  readonly signature: Buffer;
  /** Position among the results, from 1. */
  readonly rank: number;
  /** The session that fetched it; 0 where none did (an imported one). */
  readonly sessionId: bigint;
  readonly fetchedAt: Date;
}

/** An image to be kept. */
export interface NewImage extends Provenance {
  /** 224 x 224 pixels, RGB. */
  readonly jpeg: Buffer;
}

/** An image that is kept; its bytes are read by `ImageCache.images`. */
export interface StoredImage extends Provenance {
  readonly imageId: bigint;
}

export interface CachedImage extends StoredImage {
  /** 224 x 224 pixels, RGB. */
  readonly jpeg: Buffer;
}

export interface Failure {
  readonly reason: FailureReason;
  /** For a person. */
  readonly message: string;
}

/** What `ImageCache.put` takes: the end of one attempt at a query. */
export type QueryOutcome =
  | {
      readonly state: 'OK';
      /** At least one, in the site's order. */
      readonly images: readonly NewImage[];
      /** Images that were wanted: a cache that holds fewer knows by it that the site has no more. */
      readonly wanted: number;
    }
  | { readonly state: 'NO_RESULTS' }
  | { readonly state: 'DEFERRED'; readonly failure: Failure; readonly until: Date }
  /** Without `retryAt` it is not worth another try. */
  | { readonly state: 'FAILED'; readonly failure: Failure; readonly retryAt?: Date | undefined };

/** What the cache knows of a query. */
export interface CachedQuery {
  /** As it was first asked. */
  readonly query: string;
  readonly normalized: string;
  readonly state: QueryState;
  /** In the site's order; empty unless the state is OK. */
  readonly images: readonly StoredImage[];
  /** Most images that were ever wanted of it, with success. */
  readonly wanted: number;
  /** Of the latest attempt; set when it was deferred or failed, also where images of an earlier one are kept. */
  readonly failure: Failure | undefined;
  /** When it may be tried again: set when deferred, or failed and worth another try. */
  readonly retryAt: Date | undefined;
  readonly attempts: number;
  /** Attempts since the last that was neither deferred nor failed. */
  readonly failedAttempts: number;
  readonly firstAttemptAt: Date;
  readonly lastAttemptAt: Date;
}
