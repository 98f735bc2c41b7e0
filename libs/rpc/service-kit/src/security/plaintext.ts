import { InvalidInputError } from '@online-cnclip/foundation';
import { parseAddress } from '../address.ts';

/** @param host as in {@link parseAddress}. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Plain text, with which anybody may call everything, stays on this machine unless it is said in so many words that it may not.
 *
 * @throws InvalidInputError naming the address and the setting.
 */
export function requireLoopback(address: string, allowPlaintext: boolean): void {
  const { host } = parseAddress(address);
  if (allowPlaintext || isLoopback(host)) return;
  throw new InvalidInputError(
    'is not loopback, and without certificates everybody may call everything: set --tls-certificate, --tls-key and --tls-ca, ' +
      'or --allow-plaintext true where something else keeps strangers out',
    { place: address },
  );
}
