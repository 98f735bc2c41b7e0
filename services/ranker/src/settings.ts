import { DEFAULT_MAX_ITEMS } from '@online-cnclip/embedding-index';
import { type ConfigOf, setting } from '@online-cnclip/foundation';
import { addressSchema, environmentName, serviceSettings } from '@online-cnclip/service-kit';
import { z } from 'zod';
import { engineSettings } from './engine-settings.ts';

const NAME = 'ranker';
const environment = (name: string): string => environmentName(NAME, name);

/** Settings of the ranker: flag, environment variable or configuration file. */
export const rankerSettings = {
  ...serviceSettings(NAME, { listen: 50_053, metrics: 9_466 }),
  dataFolder: setting(
    environment('DATA_FOLDER'),
    z
      .string()
      .min(1)
      .default('var/data')
      .describe('folder of the indexes, and of the files that requests name'),
  ),
  encoderAddress: setting(
    environment('ENCODER_ADDRESS'),
    addressSchema.default('127.0.0.1:50051').describe('host:port of the encoder service'),
  ),
  maxIndexItems: setting(
    environment('MAX_INDEX_ITEMS'),
    z.coerce
      .number()
      .int()
      .positive()
      .default(DEFAULT_MAX_ITEMS)
      .describe('items of one index at most (at 512 numbers 0.6 KB of memory and 2 KB of disk each)'),
  ),
  searchThreads: setting(
    environment('SEARCH_THREADS'),
    z.coerce
      .number()
      .int()
      .positive()
      .optional()
      .describe('threads that compute one search of a large index [one per core]'),
  ),
  ...engineSettings(environment),
} as const;

export type RankerConfig = ConfigOf<typeof rankerSettings>;
