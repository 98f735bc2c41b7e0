import type { Command } from 'commander';

/** Where each service listens unless it is configured otherwise. */
export const SERVICES = {
  encoder: { address: '127.0.0.1:50051' },
  trainer: { address: '127.0.0.1:50052' },
  ranker: { address: '127.0.0.1:50053' },
} as const;
export type ServiceName = keyof typeof SERVICES;

export const addressOption = (command: Command, service: ServiceName): Command =>
  command.option('--address <host:port>', `where the ${service} listens`, SERVICES[service].address);

/** Uses a client and closes it. */
export async function withClient<C extends { close(): void }, T>(
  client: C,
  use: (client: C) => Promise<T>,
): Promise<T> {
  try {
    return await use(client);
  } finally {
    client.close();
  }
}
