import {
  type ClientOptions,
  type CrawlerClient,
  createCrawlerClient,
  createEncoderClient,
  createHealthClient,
  createRankerClient,
  createTrainerClient,
  type EncoderClient,
  type HealthClient,
  type RankerClient,
  type TrainerClient,
} from '@online-cnclip/client';

export const SERVICE_NAMES = ['encoder', 'trainer', 'ranker', 'crawler'] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];
export type ServiceAddresses = Readonly<Record<ServiceName, string>>;

/** Everything the console knows of the world behind it. */
export interface Clients {
  readonly encoder: EncoderClient;
  readonly trainer: TrainerClient;
  readonly ranker: RankerClient;
  readonly crawler: CrawlerClient;
  readonly health: Readonly<Record<ServiceName, HealthClient>>;
  readonly addresses: ServiceAddresses;
  close(): void;
}

/** Clients that connect with the first call: the console starts, and stays up, whatever is missing. */
export function connectClients(
  addresses: ServiceAddresses,
  options: Pick<ClientOptions, 'credentials'> = {},
): Clients {
  const services = {
    encoder: createEncoderClient(addresses.encoder, options),
    trainer: createTrainerClient(addresses.trainer, options),
    ranker: createRankerClient(addresses.ranker, options),
    crawler: createCrawlerClient(addresses.crawler, options),
  };
  const health = {
    encoder: createHealthClient(addresses.encoder, options),
    trainer: createHealthClient(addresses.trainer, options),
    ranker: createHealthClient(addresses.ranker, options),
    crawler: createHealthClient(addresses.crawler, options),
  };
  return {
    ...services,
    health,
    addresses,
    close: () => {
      for (const client of [...Object.values(services), ...Object.values(health)]) client.close();
    },
  };
}
