// Composition root of the ranker: the only file of this service that reads the environment.
import { runMain } from '@online-cnclip/service-kit';
import { composeRanker } from './compose.ts';
import { rankerSettings } from './settings.ts';

await runMain({
  name: 'ranker',
  settings: rankerSettings,
  environment: process.env,
  flags: process.argv.slice(2),
  compose: composeRanker,
});
