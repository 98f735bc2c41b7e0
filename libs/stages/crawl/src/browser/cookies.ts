import type { Cookie, CookieData } from 'puppeteer-core';
import type { SiteCookie } from './site-browser.ts';

/** The protocol counts in seconds. */
const SECOND_MS = 1_000;

export function fromProtocol(cookie: Cookie): SiteCookie {
  const { name, value, domain, path, httpOnly, secure, session, expires, sameSite } = cookie;
  return {
    ...{ name, value, domain, path, secure },
    httpOnly: httpOnly ?? false,
    ...(session ? {} : { expiresAt: expires * SECOND_MS }),
    ...(sameSite === 'Strict' || sameSite === 'Lax' || sameSite === 'None' ? { sameSite } : {}),
  };
}

export function toProtocol({ expiresAt, ...cookie }: SiteCookie): CookieData {
  return { ...cookie, ...(expiresAt === undefined ? {} : { expires: expiresAt / SECOND_MS }) };
}
