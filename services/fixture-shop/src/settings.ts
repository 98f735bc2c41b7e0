import { setting } from '@online-cnclip/foundation';
import { environmentName, processSettings } from '@online-cnclip/service-kit';
import { z } from 'zod';

export const NAME = 'fixture-shop';
const environment = (name: string): string => environmentName(NAME, name);

/** Settings of the fixture shop: flag, environment variable or configuration file. */
export const fixtureShopSettings = {
  ...processSettings(NAME, { listen: 8_070, metrics: 9_470 }, 'shop'),
  seed: setting(
    environment('SEED'),
    z.coerce.number().int().default(1).describe('what its pictures and faults depend on'),
  ),
  codeLifetimeMs: setting(
    environment('CODE_LIFETIME_MS'),
    z.coerce.number().int().positive().default(180_000).describe('time until a QR code expires'),
  ),
  latencyMs: setting(
    environment('LATENCY_MS'),
    z.coerce.number().int().nonnegative().default(0).describe('time that results and images take'),
  ),
} as const;
