import { join } from 'node:path';
import {
  createEncoderClient,
  createRankerClient,
  createTrainerClient,
  type EncoderClient,
  type RankerClient,
  type TrainerClient,
} from '@online-cnclip/client';
import { UnavailableError } from '@online-cnclip/foundation';
import type { ReadyService, ServiceDefinition } from './processes/supervisor.ts';

export interface ServiceClients {
  readonly encoder: EncoderClient;
  readonly trainer: TrainerClient;
  readonly ranker: RankerClient;
}

/** In the order they are started; their ports follow one another. */
const SERVICE_NAMES = ['encoder', 'trainer', 'ranker'] as const;
type ServiceName = (typeof SERVICE_NAMES)[number];

/** A demo that is told to stop should, though a run is going on. */
const DRAIN_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * The services of the demo: a list, so that a further one is one entry.
 *
 * @param root the project's folder.
 * @param dataFolder what the services call their data folder; paths in calls are relative to it.
 */
export function serviceDefinitions(root: string, dataFolder: string, portBase: number): ServiceDefinition[] {
  const own: Record<ServiceName, (before: ReadonlyMap<string, string>) => readonly string[]> = {
    encoder: () => ['--data-folder', dataFolder],
    trainer: () => ['--data-folder', dataFolder],
    ranker: (before) => ['--data-folder', dataFolder, '--encoder-address', before.get('encoder') ?? ''],
  };
  return SERVICE_NAMES.map((name, position) => ({
    name,
    entry: join(root, 'services', name, 'src/main.ts'),
    port: portBase === 0 ? 0 : portBase + position,
    argumentsFor: (address, before) => [
      ...['--listen-address', address, '--metrics-address', '127.0.0.1:0'],
      ...['--drain-timeout-ms', String(DRAIN_TIMEOUT_MS)],
      ...own[name](before),
    ],
  }));
}

/** Clients of the running services. @throws UnavailableError when one cannot be reached. */
export async function connectServices(services: ReadonlyMap<string, ReadyService>): Promise<ServiceClients> {
  const addressOf = (name: ServiceName): string => {
    const service = services.get(name);
    if (!service) throw new UnavailableError('is not running', { place: name });
    return service.address;
  };
  const clients = {
    encoder: createEncoderClient(addressOf('encoder')),
    trainer: createTrainerClient(addressOf('trainer')),
    ranker: createRankerClient(addressOf('ranker')),
  };
  await Promise.all(Object.values(clients).map((client) => client.waitUntilConnected(CONNECT_TIMEOUT_MS)));
  return clients;
}

export function closeClients(clients: ServiceClients): void {
  for (const client of Object.values(clients)) client.close();
}

/** Where each service listens, and three calls to try by hand. */
export function formatAddresses(services: ReadonlyMap<string, ReadyService>, index: string): string {
  const addresses = [...services].map(
    ([name, { address, metrics }]) =>
      `  ${name.padEnd(8)} ${address.padEnd(16)}${metrics === null ? '' : `  metrics http://${metrics}/metrics`}`,
  );
  const at = (name: ServiceName): string => services.get(name)?.address ?? '';
  const search = JSON.stringify({ index, queries: [{ text: '红色的心' }], top_k: 3 });
  return [
    'services',
    ...addresses,
    'to try',
    `  grpcurl -plaintext -d '{"texts":["一只猫"]}' ${at('encoder')} onlinecnclip.encoder.v1.EncoderService/Tokenize`,
    `  grpcurl -plaintext -d '${search}' ${at('ranker')} onlinecnclip.ranker.v1.RankerService/Search`,
    `  grpcurl -plaintext ${at('trainer')} onlinecnclip.trainer.v1.TrainerService/ListRuns`,
  ].join('\n');
}
