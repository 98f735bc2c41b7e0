import { InvalidInputError } from '@online-cnclip/foundation';

export interface Address {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

const MAX_PORT = 65_535;

/** @throws InvalidInputError when the text is not `host:port` or `[ipv6]:port`. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[(?<ipv6>[\da-f:.]+)\]|(?<name>[^\s:/[\]]+)):(?<port>\d{1,5})$/i.exec(text);
  const host = match?.groups?.['ipv6'] ?? match?.groups?.['name'];
  const port = Number(match?.groups?.['port']);
  if (host === undefined || port > MAX_PORT)
    throw new InvalidInputError('is not host:port, for example 127.0.0.1:50051', { place: text });
  return { host, port };
}

export const formatAddress = ({ host, port }: Address): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
