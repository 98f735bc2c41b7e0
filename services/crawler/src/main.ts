import { runMain } from '@online-cnclip/service-kit';
import { composeCrawler } from './compose.ts';
import { crawlerSettings, NAME } from './settings.ts';

await runMain({
  name: NAME,
  settings: crawlerSettings,
  environment: process.env,
  flags: process.argv.slice(2),
  compose: (context) => composeCrawler(context, process.env),
});
