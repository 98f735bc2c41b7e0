import { lookup } from 'node:dns/promises';
import { messageOf } from '@online-cnclip/foundation';
import ipaddr from 'ipaddr.js';
import { type ExemptAddress, isExempt } from '../manners/manners.ts';
import { DownloadError } from './download-error.ts';

/** An address that a connection is to be made to, whatever the name resolves to later. */
export interface PinnedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Addresses of a name. @throws what node:dns throws. */
export type Resolve = (hostname: string) => Promise<readonly { address: string; family: number }[]>;

export const resolveByDns: Resolve = (hostname) => lookup(hostname, { all: true, verbatim: true });

/**
 * Resolves a URL's host once. Anything but a public unicast address is refused (private, loopback, link-local, carrier
 * NAT, documentation, IPv4 inside IPv6, and so on), be it one of several: a name that resolves to both is an attack.
 * The exempt address is let through, as the literal that it is.
 *
 * @throws DownloadError `refused-url`, `private-address`, `dns`.
 */
export async function pinAddress(
  url: URL,
  exempt: ExemptAddress | undefined,
  resolve: Resolve = resolveByDns,
): Promise<PinnedAddress> {
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new DownloadError('refused-url', `${url.protocol} is not fetched`, url);
  if (url.username !== '' || url.password !== '')
    throw new DownloadError('refused-url', 'a URL with a password is not fetched', url);
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = ipaddr.isValid(hostname)
    ? [{ address: hostname, family: ipaddr.parse(hostname).kind() === 'ipv6' ? 6 : 4 }]
    : await resolveName(hostname, url, resolve);
  const isLiteralExempt = isExempt(url, exempt);
  for (const { address } of addresses) {
    const range = ipaddr.isValid(address) ? ipaddr.process(address).range() : 'unknown';
    if (range !== 'unicast' && !isLiteralExempt)
      throw new DownloadError('private-address', `${hostname} is ${address} (${range})`, url);
  }
  const [first] = addresses;
  if (!first) throw new DownloadError('dns', `${hostname} has no address`, url);
  return { address: first.address, family: first.family === 6 ? 6 : 4 };
}

async function resolveName(hostname: string, url: URL, resolve: Resolve) {
  try {
    return await resolve(hostname);
  } catch (cause) {
    throw new DownloadError('dns', `${hostname} does not resolve: ${messageOf(cause)}`, url, { cause });
  }
}
