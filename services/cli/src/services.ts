import type { ClientOptions } from '@online-cnclip/client';
import { messageOf, UnavailableError } from '@online-cnclip/foundation';
import { type Command, InvalidArgumentError } from 'commander';
import type { CliContext } from './context.ts';

/** Where each service listens unless it is configured otherwise. */
export const SERVICE_ADDRESSES = {
  encoder: '127.0.0.1:50051',
  trainer: '127.0.0.1:50052',
  ranker: '127.0.0.1:50053',
  crawler: '127.0.0.1:50054',
} as const;
export type ServiceName = keyof typeof SERVICE_ADDRESSES;

export const addressOption = (command: Command, service: ServiceName, name = 'address'): Command =>
  command.option(
    `--${name} <host:port>`,
    `where the ${service} listens`,
    hostAndPort,
    SERVICE_ADDRESSES[service],
  );

/** Without a port gRPC would take 443. */
function hostAndPort(text: string): string {
  if (/^.+:[0-9]{1,5}$/.test(text)) return text;
  throw new InvalidArgumentError('It has to be host:port.');
}

interface Closable {
  close(): void;
}

/** Uses a client and closes it. @throws UnavailableError naming the address; whatever else the use throws. */
export async function withClient<C extends Closable, T>(
  context: Pick<CliContext, 'clientSecurity'>,
  create: (address: string, options: Pick<ClientOptions, 'credentials'>) => C,
  address: string,
  use: (client: C) => Promise<T>,
): Promise<T> {
  const { credentials } = await context.clientSecurity();
  const client = create(address, { credentials });
  try {
    return await use(client);
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    throw new UnavailableError(reasonOf(error), { place: address, cause: error });
  } finally {
    client.close();
  }
}

/** Why a call failed, without the note that grpc-js adds though it has nothing to note. */
export const reasonOf = (error: unknown): string => messageOf(error).replace(/\s*Resolution note:\s*$/, '');
