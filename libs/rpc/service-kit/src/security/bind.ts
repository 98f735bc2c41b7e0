import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { messageOf, UnavailableError } from '@online-cnclip/foundation';
import { formatAddress, parseAddress } from '../address.ts';

/** @returns the address with the port that was taken. @throws UnavailableError when it cannot be bound. */
export async function bindPlaintext(server: Server, address: string): Promise<string> {
  const { host } = parseAddress(address);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
    error ? reject(error) : resolve(port),
  );
  try {
    return formatAddress({ host, port: await promise });
  } catch (cause) {
    throw new UnavailableError(`cannot listen: ${messageOf(cause)}`, { place: address, cause });
  }
}
