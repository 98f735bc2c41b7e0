import { join } from 'node:path';
import {
  type ClientOptions,
  type CrawlerClient,
  createCrawlerClient,
  createEncoderClient,
  createRankerClient,
  createTrainerClient,
  type EncoderClient,
  type RankerClient,
  type TrainerClient,
} from '@online-cnclip/client';
import { UnavailableError } from '@online-cnclip/foundation';
import { certificateFlags } from './certificates.ts';
import type { ReadyService, ServiceDefinition } from './processes/supervisor.ts';

export interface ServiceClients {
  readonly encoder: EncoderClient;
  readonly trainer: TrainerClient;
  readonly ranker: RankerClient;
  readonly crawler: CrawlerClient;
}

/** In the order they are started, each after those whose addresses it is given; their ports count from the first one. */
const PORT_OFFSETS = { 'fixture-shop': 4, crawler: 3, encoder: 0, trainer: 1, ranker: 2 } as const;
type ServiceName = keyof typeof PORT_OFFSETS;
const SERVICE_NAMES = Object.keys(PORT_OFFSETS) as ServiceName[];

/** The crawler knows the fixture shop and nothing else. */
const SHOP_PROFILE = 'fixture-shop';
/** A process on this machine needs no rest; for any other address the crawler refuses these. */
const NO_MANNERS = [
  ...['--query-interval-ms', '0', '--query-jitter-ms', '0', '--image-interval-ms', '0'],
  ...['--daily-cap', '1000000'],
];
/** A demo that is told to stop should, though a run is going on. */
const DRAIN_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * The services of the demo: a list, so that a further one is one entry.
 *
 * @param root the project's folder.
 * @param dataFolder what the services call their data folder; paths in calls are relative to it.
 * @param certs folder of their certificates; absent for plain text. The shop is a shop: it has none.
 */
export function serviceDefinitions(
  root: string,
  dataFolder: string,
  portBase: number,
  certs?: string,
): ServiceDefinition[] {
  const data = ['--data-folder', dataFolder];
  const own: Record<ServiceName, (addressOf: (name: ServiceName) => string) => readonly string[]> = {
    'fixture-shop': () => [],
    crawler: (addressOf) => [
      ...data,
      ...['--site-profile', SHOP_PROFILE, '--site-origin', `http://${addressOf('fixture-shop')}`],
      ...['--fixture-address', addressOf('fixture-shop'), ...NO_MANNERS],
    ],
    encoder: () => data,
    trainer: (addressOf) => [
      ...data,
      ...['--encoder-address', addressOf('encoder'), '--crawler-address', addressOf('crawler')],
    ],
    ranker: (addressOf) => [...data, '--encoder-address', addressOf('encoder')],
  };
  return SERVICE_NAMES.map((name) => ({
    name,
    entry: join(root, 'services', name, 'src/main.ts'),
    port: portBase === 0 ? 0 : portBase + PORT_OFFSETS[name],
    argumentsFor: (address, before) => [
      ...['--listen-address', address, '--metrics-address', '127.0.0.1:0'],
      ...['--drain-timeout-ms', String(DRAIN_TIMEOUT_MS)],
      ...(name === 'fixture-shop' ? [] : certificateFlags(certs, name)),
      ...own[name]((other) => before.get(other) ?? ''),
    ],
  }));
}

/** Clients of the running services. @throws UnavailableError when one cannot be reached. */
export async function connectServices(
  services: ReadonlyMap<string, ReadyService>,
  options: Pick<ClientOptions, 'credentials'> = {},
): Promise<ServiceClients> {
  const address = (name: ServiceName) => addressOf(services, name);
  const clients = {
    encoder: createEncoderClient(address('encoder'), options),
    trainer: createTrainerClient(address('trainer'), options),
    ranker: createRankerClient(address('ranker'), options),
    crawler: createCrawlerClient(address('crawler'), options),
  };
  await Promise.all(Object.values(clients).map((client) => client.waitUntilConnected(CONNECT_TIMEOUT_MS)));
  return clients;
}

/** @throws UnavailableError when it is not running. */
export function addressOf(services: ReadonlyMap<string, ReadyService>, name: ServiceName): string {
  const service = services.get(name);
  if (!service) throw new UnavailableError('is not running', { place: name });
  return service.address;
}

export function closeClients(clients: ServiceClients): void {
  for (const client of Object.values(clients)) client.close();
}

/** Where each service listens, and three calls to try by hand. */
export function formatAddresses(
  services: ReadonlyMap<string, ReadyService>,
  index: string,
  certs?: string,
): string {
  const [http, security] =
    certs === undefined
      ? ['http', '-plaintext']
      : ['https', `-cacert ${certs}/ca.crt -cert ${certs}/operator/tls.crt -key ${certs}/operator/tls.key`];
  const addresses = [...services].map(
    ([name, { address, metrics }]) =>
      `  ${name.padEnd(12)} ${address.padEnd(16)}${metrics === null ? '' : `  metrics ${http}://${metrics}/metrics`}`,
  );
  const at = (name: ServiceName): string => services.get(name)?.address ?? '';
  const search = JSON.stringify({ index, queries: [{ text: '红色的心' }], top_k: 3 });
  return [
    'services',
    ...addresses,
    'to try',
    `  grpcurl ${security} -d '{"texts":["一只猫"]}' ${at('encoder')} onlinecnclip.encoder.v1.EncoderService/Tokenize`,
    `  grpcurl ${security} -d '${search}' ${at('ranker')} onlinecnclip.ranker.v1.RankerService/Search`,
    `  grpcurl ${security} ${at('trainer')} onlinecnclip.trainer.v1.TrainerService/ListRuns`,
  ].join('\n');
}
