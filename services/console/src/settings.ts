import { setting } from '@online-cnclip/foundation';
import { addressSchema, environmentName, processSettings } from '@online-cnclip/service-kit';
import { z } from 'zod';

const NAME = 'console';
const environment = (name: string): string => environmentName(NAME, name);

const serviceAddress = (name: string, port: number) =>
  setting(
    environment(`${name.toUpperCase()}_ADDRESS`),
    addressSchema.default(`127.0.0.1:${port}`).describe(`host:port of the ${name} service`),
  );

/** Settings of the console: flag, environment variable or configuration file. */
export const consoleSettings = {
  ...processSettings(NAME, { listen: 8_080, metrics: 9_468 }, 'HTTP server'),
  encoderAddress: serviceAddress('encoder', 50_051),
  trainerAddress: serviceAddress('trainer', 50_052),
  rankerAddress: serviceAddress('ranker', 50_053),
  crawlerAddress: serviceAddress('crawler', 50_054),
  picturesFolder: setting(
    environment('PICTURES_FOLDER'),
    z
      .string()
      .min(1)
      .optional()
      .describe(
        'folder of the pictures to show, INDEX/ID.png (or .jpg, .webp, .svg); placeholders without it',
      ),
  ),
  pictureDatasets: setting(
    environment('PICTURE_DATASETS'),
    z
      .string()
      .default('')
      .transform((text, context) => {
        const pairs = text
          .split(',')
          .filter(Boolean)
          .map((part) => part.split(/=(.*)/s));
        for (const [index, path] of pairs)
          if (!index || !path) context.addIssue('is not INDEX=LMDB_FOLDER, several joined by commas');
        return new Map(pairs.map(([index = '', path = '']) => [index, path]));
      })
      .describe(
        'INDEX=LMDB_FOLDER,...: data sets whose images are shown by item id, for indexes not in the folder',
      ),
  ),
  tokenFile: setting(
    environment('TOKEN_FILE'),
    z
      .string()
      .min(1)
      .optional()
      .describe('file of the token that people log in with; needed on other addresses than loopback'),
  ),
  allowedHosts: setting(
    environment('ALLOWED_HOSTS'),
    z
      .string()
      .default('')
      .transform((text) => text.split(',').filter(Boolean))
      .describe('host names, joined by commas, that the page may be opened under besides loopback'),
  ),
} as const;
