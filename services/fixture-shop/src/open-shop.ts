import { type ConfigOf, InvalidInputError } from '@online-cnclip/foundation';
import { type Listener, type ProcessContext, parseAddress } from '@online-cnclip/service-kit';
import type { fixtureShopSettings } from './settings.ts';
import { createShop } from './shop.ts';

const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];

/** The shop as a process listens with it: on loopback and nowhere else, for anyone may log in and steer it. */
export async function openShop({
  config,
  logger,
}: ProcessContext<ConfigOf<typeof fixtureShopSettings>>): Promise<Listener> {
  const { seed, codeLifetimeMs, latencyMs } = config;
  const shop = createShop({ seed, codeLifetimeMs, latencyMs, logger });
  return {
    listen: (address) => {
      const { host, port } = parseAddress(address);
      if (!LOOPBACK.includes(host))
        throw new InvalidInputError('the fixture shop listens on loopback only', { place: address });
      return shop.listen(host, port);
    },
    close: () => shop.close(),
  };
}
