import { setting } from '@online-cnclip/foundation';
import { environmentName, serviceSettings } from '@online-cnclip/service-kit';
import { z } from 'zod';

const NAME = 'trainer';

/** Settings of the trainer: flag, environment variable or configuration file. */
export const trainerSettings = {
  ...serviceSettings(NAME, { listen: 50_052, metrics: 9_465 }),
  dataFolder: setting(
    environmentName(NAME, 'DATA_FOLDER'),
    z.string().min(1).default('var/data').describe('folder that all paths of requests are relative to'),
  ),
  threads: setting(
    environmentName(NAME, 'THREADS'),
    z.coerce
      .number()
      .int()
      .min(0)
      .default(0)
      .describe('threads that a training step computes with; 0: as many as there are cores'),
  ),
} as const;
