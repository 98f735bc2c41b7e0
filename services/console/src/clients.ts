import {
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
export function connectClients(addresses: ServiceAddresses): Clients {
  const services = {
    encoder: createEncoderClient(addresses.encoder),
    trainer: createTrainerClient(addresses.trainer),
    ranker: createRankerClient(addresses.ranker),
    crawler: createCrawlerClient(addresses.crawler),
  };
  const health = {
    encoder: createHealthClient(addresses.encoder),
    trainer: createHealthClient(addresses.trainer),
    ranker: createHealthClient(addresses.ranker),
    crawler: createHealthClient(addresses.crawler),
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
