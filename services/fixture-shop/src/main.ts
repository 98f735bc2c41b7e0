import { runProcess } from '@online-cnclip/service-kit';
import { openShop } from './open-shop.ts';
import { fixtureShopSettings, NAME } from './settings.ts';

await runProcess({
  name: NAME,
  settings: fixtureShopSettings,
  environment: process.env,
  flags: process.argv.slice(2),
  open: openShop,
});
