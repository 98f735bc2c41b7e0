import { InvalidInputError } from '@online-cnclip/foundation';
import ipaddr from 'ipaddr.js';

/** Between two queries of one session, and of one domain: what a person who looks at the results takes at least. */
export const MIN_QUERY_INTERVAL_MS = 8_000;

/** Added to the interval at random. */
export const DEFAULT_QUERY_JITTER_MS = 4_000;

/** A person who shops all day does not search more often. */
export const DEFAULT_DAILY_CAP = 500;

/** After the site asked to slow down without saying for how long; doubled each time, up to an hour. */
export const DEFAULT_BACKOFF_MS = 60_000;
export const MAX_BACKOFF_MS = 3_600_000;

/** Images are small and no page of their own: four a second and host, well below what a browser does. */
export const IMAGE_INTERVAL_MS = 250;

/** `127.0.0.1:8080`: the one address that may be asked at any rate, and that downloads may reach although private. */
export interface ExemptAddress {
  readonly host: string;
  readonly port: number;
}

/** How a site is treated. */
export interface Manners {
  readonly queryIntervalMs: number;
  readonly queryJitterMs: number;
  /** Queries of one session a day (UTC). */
  readonly dailyCap: number;
  readonly backoffMs: number;
  readonly imageIntervalMs: number;
}

/** @throws InvalidInputError unless it is a literal loopback address with a port. */
export function parseExemptAddress(text: string): ExemptAddress {
  const url = URL.parse(`http://${text}`);
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? '';
  const isLoopback = ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback';
  if (!url || !isLoopback || url.port === '' || url.host !== text)
    throw new InvalidInputError(
      `${JSON.stringify(text)} is no loopback address with a port: 127.0.0.1:8080`,
      {
        place: 'fixture address',
      },
    );
  return { host, port: Number(url.port) };
}

/** Whether a URL is of the exempt address: the literal one, not a name that resolves to it. */
export function isExempt(url: URL, exempt: ExemptAddress | undefined): boolean {
  if (!exempt) return false;
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  return url.hostname.replace(/^\[|\]$/g, '') === exempt.host && port === exempt.port;
}

/**
 * What a site gets of what is configured: for the exempt address as it is, for any other no less than a person takes.
 *
 * @throws InvalidInputError where less was asked for.
 */
export function requireManners(siteUrl: URL, manners: Manners, exempt: ExemptAddress | undefined): Manners {
  if (isExempt(siteUrl, exempt)) return manners;
  const least = {
    queryIntervalMs: MIN_QUERY_INTERVAL_MS,
    backoffMs: DEFAULT_BACKOFF_MS,
    imageIntervalMs: IMAGE_INTERVAL_MS,
  };
  for (const [name, value] of Object.entries(least)) {
    const given = manners[name as keyof typeof least];
    if (given < value)
      throw new InvalidInputError(`${given} is less than ${value}, which ${siteUrl.host} gets at least`, {
        place: name,
      });
  }
  return manners;
}

/** How long to leave a site alone after it has asked for it `times` in a row. */
export function backoffOf(baseMs: number, times: number, maxMs = MAX_BACKOFF_MS): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(times, 20));
}
