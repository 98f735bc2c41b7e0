/** The image of a query that is wanted: number `number` (from 1) of the `of` that are fetched for it in all. */
export interface ImageQuery {
  readonly text: string;
  readonly number: number;
  readonly of: number;
}

/** An image of the query that was asked for, as a file. */
export interface QueryImage {
  readonly file: Uint8Array;
  /** Whether no request was made for it. */
  readonly cached: boolean;
}

/** Why there is none. There is never a picture in its place: the query is left out of its step, and counted. */
export interface MissingImage {
  /** Short, in kebab-case, without the query: left-out queries are counted by it. */
  readonly missing: string;
}

export type ImageAnswer = QueryImage | MissingImage;

/** Reasons that are the same wherever images come from; a source adds those of its own. */
export const MISSING = {
  /** The query itself is no good: empty, too long, control characters. */
  invalidQuery: 'invalid-query',
  /** Nothing was fetched for it yet. */
  notCrawled: 'not-crawled',
  noResults: 'no-results',
  deferred: 'deferred',
  /** There are images, fewer than the number asked for. */
  fewerImages: 'fewer-images',
  /** The file is no image that can be decoded. */
  damaged: 'damaged-image',
  offline: 'offline',
} as const;

/** `crawl`: fetched while training goes on. `cache`: what was fetched before. `offline`: none. */
export type ImageSourceMode = 'crawl' | 'cache' | 'offline';

/**
 * Where online learning has its images from. The stage declares it; who runs the stage gives one for the crawler.
 */
export interface ImageSource {
  readonly mode: ImageSourceMode;
  /**
   * One answer per query, in the order of the queries. A source may work ahead of its reader, within bounds of its own.
   *
   * @throws UnavailableError and the like when the source as a whole does not work; the signal's reason.
   */
  images(queries: Iterable<ImageQuery>, signal?: AbortSignal): AsyncIterable<ImageAnswer>;
  close(): Promise<void>;
}

/** No images for any query. */
export function offlineImages(): ImageSource {
  return {
    mode: 'offline',
    async *images(queries) {
      for (const _ of queries) yield { missing: MISSING.offline };
    },
    close: async () => {},
  };
}
