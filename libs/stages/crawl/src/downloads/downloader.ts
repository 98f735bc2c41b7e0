import { createHash } from 'node:crypto';
import { looksAlike, type NewImage, perceptualSignature } from '@online-cnclip/image-cache';
import type { ImageCandidate, SiteCookie } from '../browser/site-browser.ts';
import { type ExemptAddress, isExempt } from '../manners/manners.ts';
import { TokenBucket } from '../manners/token-bucket.ts';
import type { Resolve } from './address-guard.ts';
import { cookieHeader } from './cookies.ts';
import { DownloadError, type DownloadFailure } from './download-error.ts';
import { DEFAULT_FETCH_LIMITS, type FetchLimits, fetchBytes } from './fetch-bytes.ts';
import { toCacheImage } from './to-cache-image.ts';

/** Of one query; a browser opens six connections to a host. */
const MAX_PARALLEL = 4;

/** Hosts whose turn is kept; a site has a handful. */
const MAX_HOSTS = 1_000;

export interface DownloaderOptions {
  /** Cookies go to this host and below, and nowhere else. */
  readonly siteHost: string;
  readonly exempt?: ExemptAddress | undefined;
  /** Between two images of one host; the exempt one is not held up. */
  readonly imageIntervalMs: number;
  readonly limits?: Partial<FetchLimits>;
  readonly resolve?: Resolve;
  /** Told of each download: `ok` or why not. */
  readonly onDownload?: (result: DownloadFailure | 'ok' | 'duplicate') => void;
}

export interface DownloadRequest {
  readonly candidates: readonly ImageCandidate[];
  /** Images wanted; candidates beyond are fetched only to make up for others that fail. */
  readonly wanted: number;
  readonly pageUrl: string;
  readonly sessionId: bigint;
  readonly userAgent: string;
  readonly cookies: readonly SiteCookie[];
  readonly signal: AbortSignal;
}

export interface Downloads {
  /** In the site's order; no two alike. */
  readonly images: readonly NewImage[];
  readonly failures: readonly DownloadError[];
  /** Set when a host asked to slow down: nothing more was fetched then. */
  readonly rateLimit: DownloadError | undefined;
}

/** Fetches the pictures of results, politely and safely, and makes cache images of them. */
export class Downloader {
  readonly #options: DownloaderOptions;
  readonly #limits: FetchLimits;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(options: DownloaderOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_FETCH_LIMITS, ...options.limits };
  }

  /** A candidate that fails is a failure of its own. @throws the signal's reason. */
  async fetchImages(request: DownloadRequest): Promise<Downloads> {
    const { candidates, wanted } = request;
    const images: NewImage[] = [];
    const failures: DownloadError[] = [];
    const rateLimit = () => failures.find(({ failure }) => failure === 'rate-limited');
    for (let next = 0; images.length < wanted && next < candidates.length && !rateLimit(); ) {
      const count = Math.min(wanted - images.length, MAX_PARALLEL);
      const batch = candidates.slice(next, next + count);
      next += batch.length;
      for (const result of await Promise.all(batch.map((candidate) => this.#fetch(candidate, request))))
        if (result instanceof DownloadError) failures.push(result);
        else if (images.some((image) => isSame(image, result))) this.#options.onDownload?.('duplicate');
        else images.push(result);
    }
    return { images, failures, rateLimit: rateLimit() };
  }

  async #fetch(candidate: ImageCandidate, request: DownloadRequest): Promise<NewImage | DownloadError> {
    try {
      const image = await this.#fetchImage(candidate, request);
      this.#options.onDownload?.('ok');
      return image;
    } catch (error) {
      if (!(error instanceof DownloadError)) throw error;
      this.#options.onDownload?.(error.failure);
      return error;
    }
  }

  async #fetchImage(candidate: ImageCandidate, request: DownloadRequest): Promise<NewImage> {
    const { siteHost, exempt, resolve } = this.#options;
    const { cookies, userAgent, pageUrl, sessionId, signal } = request;
    const start = URL.parse(candidate.url);
    if (!start) throw new DownloadError('refused-url', 'is no URL', candidate.url);
    await this.#takeTurn(start, signal);
    const { bytes, url } = await fetchBytes(start, {
      limits: this.#limits,
      exempt,
      resolve,
      signal,
      headersOf: (hop) => {
        const cookie = cookieHeader(hop, cookies, siteHost);
        return { 'user-agent': userAgent, referer: pageUrl, ...(cookie !== undefined && { cookie }) };
      },
    });
    const jpeg = await toCacheImage(bytes, url.href);
    return {
      jpeg,
      sourceUrl: candidate.url,
      pageUrl,
      sourceSha256: createHash('sha256').update(bytes).digest(),
      signature: await perceptualSignature(jpeg),
      rank: candidate.rank + 1,
      sessionId,
      fetchedAt: new Date(),
    };
  }

  async #takeTurn(url: URL, signal: AbortSignal): Promise<void> {
    if (isExempt(url, this.#options.exempt)) return;
    let bucket = this.#buckets.get(url.host);
    if (!bucket) {
      if (this.#buckets.size >= MAX_HOSTS) this.#buckets.clear();
      const intervalMs = this.#options.imageIntervalMs;
      bucket = new TokenBucket({ intervalMs, jitterMs: intervalMs });
      this.#buckets.set(url.host, bucket);
    }
    await bucket.take(signal);
  }
}

const isSame = (a: NewImage, b: NewImage): boolean =>
  a.sourceSha256.equals(b.sourceSha256) || looksAlike(a.signature, b.signature);
