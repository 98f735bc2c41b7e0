import type { LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { abortError, messageOf } from '@online-cnclip/foundation';
import { Client, type Dispatcher } from 'undici';
import type { ExemptAddress } from '../manners/manners.ts';
import { type PinnedAddress, pinAddress, type Resolve } from './address-guard.ts';
import { DownloadError } from './download-error.ts';
import { parseRetryAfter } from './retry-after.ts';

export interface FetchLimits {
  readonly maxBytes: number;
  /** For all hops together. */
  readonly totalMs: number;
  readonly connectMs: number;
  /** Less than so much in a whole window of `rateWindowMs` is too slow. */
  readonly minBytesPerSecond: number;
  readonly rateWindowMs: number;
  readonly maxRedirects: number;
}

/** A product picture has some 100 KB; a shop's largest some MB. */
export const DEFAULT_FETCH_LIMITS: FetchLimits = {
  maxBytes: 16 * 1024 * 1024,
  totalMs: 30_000,
  connectMs: 10_000,
  minBytesPerSecond: 1_024,
  rateWindowMs: 5_000,
  maxRedirects: 4,
};

export interface FetchOptions {
  readonly limits: FetchLimits;
  readonly exempt: ExemptAddress | undefined;
  readonly resolve?: Resolve | undefined;
  /** Headers of one hop, by its URL. */
  headersOf(url: URL): Record<string, string>;
  readonly signal: AbortSignal;
}

export interface FetchedBytes {
  readonly bytes: Buffer;
  /** After redirects. */
  readonly url: URL;
  readonly contentType: string;
}

/**
 * GETs a URL within limits. Every hop of a redirect is checked and pinned like the first.
 *
 * @throws DownloadError, and the signal's reason once it is aborted.
 */
export async function fetchBytes(start: URL, options: FetchOptions): Promise<FetchedBytes> {
  const { limits, signal, exempt, resolve } = options;
  const timeout = AbortSignal.timeout(limits.totalMs);
  const limited = { ...options, signal: AbortSignal.any([signal, timeout]) };
  let url = start;
  try {
    for (let hop = 0; hop <= limits.maxRedirects; hop += 1) {
      const pinned = await pinAddress(url, exempt, resolve);
      const answer = await fetchHop(url, pinned, limited);
      if (!(answer instanceof URL)) return answer;
      url = answer;
    }
  } catch (error) {
    if (signal.aborted) throw abortError(signal);
    if (timeout.aborted)
      throw new DownloadError('timeout', `not there after ${limits.totalMs} ms`, url, { cause: error });
    throw error;
  }
  throw new DownloadError('too-many-redirects', `more than ${limits.maxRedirects} redirects`, start);
}

/** @returns what the URL holds, or where it sends to. */
async function fetchHop(url: URL, pinned: PinnedAddress, options: FetchOptions): Promise<FetchedBytes | URL> {
  const { limits, signal, headersOf } = options;
  // A client of its own: the connection must be to the address that was checked.
  const client = new Client(url.origin, {
    connect: { lookup: lookupOf(pinned), timeout: limits.connectMs },
    headersTimeout: limits.totalMs,
    bodyTimeout: limits.totalMs,
    pipelining: 0,
  });
  try {
    const headers = { accept: 'image/webp,image/png,image/jpeg,image/gif', 'accept-encoding': 'identity' };
    const response = await client.request({
      method: 'GET',
      path: `${url.pathname}${url.search}`,
      headers: { ...headers, ...headersOf(url) },
      signal,
    });
    return await readResponse(url, response, options);
  } catch (error) {
    if (error instanceof DownloadError || signal.aborted) throw error;
    throw new DownloadError('connection', messageOf(error), url, { cause: error });
  } finally {
    // Not close(): a body that drips would hold it.
    await client.destroy();
  }
}

async function readResponse(
  url: URL,
  { statusCode, headers, body }: Dispatcher.ResponseData,
  { limits, signal }: FetchOptions,
): Promise<FetchedBytes | URL> {
  // Errors of a body that is not read to its end are nobody's.
  body.on('error', () => {});
  const header = (name: string): string | undefined => [headers[name]].flat()[0];
  if (statusCode >= 300 && statusCode < 400) return redirectOf(url, header('location'));
  if (statusCode === 429 || statusCode === 503)
    throw new DownloadError('rate-limited', `status ${statusCode}`, url, {
      retryAfterMs: parseRetryAfter(header('retry-after')),
    });
  if (statusCode !== 200)
    throw new DownloadError(statusCode >= 500 ? 'server-error' : 'status', `status ${statusCode}`, url);
  const contentType = header('content-type') ?? '';
  if (/^\s*(text\/html|application\/xhtml)/i.test(contentType))
    throw new DownloadError('html', `a page (${contentType}), no image`, url);
  const length = Number(header('content-length') ?? 0);
  if (length > limits.maxBytes) throw tooLarge(url, limits);
  return { bytes: await readBody(url, body, limits, signal), url, contentType };
}

function redirectOf(url: URL, location: string | undefined): URL {
  const target = location === undefined ? null : URL.parse(location, url.href);
  if (!target) throw new DownloadError('refused-url', `sends to ${JSON.stringify(location)}`, url);
  return target;
}

/** Below the limits of size and, window by window, of speed. */
async function readBody(url: URL, body: Readable, limits: FetchLimits, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let total = 0;
  let inWindow = 0;
  const slow = Promise.withResolvers<never>();
  const minBytes = (limits.minBytesPerSecond * limits.rateWindowMs) / 1_000;
  const watch = setInterval(() => {
    if (inWindow < minBytes)
      slow.reject(new DownloadError('too-slow', `${inWindow} bytes in ${limits.rateWindowMs} ms`, url));
    inWindow = 0;
  }, limits.rateWindowMs);
  const read = async (): Promise<void> => {
    for await (const chunk of body) {
      total += (chunk as Buffer).length;
      inWindow += (chunk as Buffer).length;
      if (total > limits.maxBytes) throw tooLarge(url, limits);
      chunks.push(chunk as Buffer);
    }
  };
  try {
    await Promise.race([read(), slow.promise]);
    if (signal.aborted) throw abortError(signal);
    return Buffer.concat(chunks, total);
  } finally {
    clearInterval(watch);
    slow.promise.catch(() => {});
    body.destroy();
  }
}

const tooLarge = (url: URL, { maxBytes }: FetchLimits): DownloadError =>
  new DownloadError('too-large', `more than ${maxBytes} bytes`, url);

function lookupOf({ address, family }: PinnedAddress): LookupFunction {
  return (_hostname, options, callback) =>
    options.all ? callback(null, [{ address, family }]) : callback(null, address, family);
}
