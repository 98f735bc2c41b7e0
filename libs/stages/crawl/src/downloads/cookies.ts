import type { SiteCookie } from '../browser/site-browser.ts';

/**
 * The Cookie header that a browser would send there (RFC 6265, 5.4), from cookies of the site only: an image that lies
 * elsewhere is fetched without any. Undefined when there is none to send.
 */
export function cookieHeader(
  url: URL,
  cookies: readonly SiteCookie[],
  siteHost: string,
  now: number = Date.now(),
): string | undefined {
  if (!isWithin(url.hostname, siteHost)) return undefined;
  const sent = cookies.filter(
    ({ domain, path, secure, expiresAt }) =>
      (domain.startsWith('.') ? isWithin(url.hostname, domain.slice(1)) : url.hostname === domain) &&
      isPathWithin(url.pathname, path) &&
      (!secure || url.protocol === 'https:') &&
      (expiresAt === undefined || expiresAt > now),
  );
  return sent.length > 0 ? sent.map(({ name, value }) => `${name}=${value}`).join('; ') : undefined;
}

const isWithin = (host: string, domain: string): boolean => host === domain || host.endsWith(`.${domain}`);

const isPathWithin = (path: string, prefix: string): boolean =>
  path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
