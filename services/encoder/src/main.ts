import { runMain } from '@online-cnclip/service-kit';
import { composeEncoder } from './compose.ts';
import { encoderSettings } from './settings.ts';

await runMain({
  name: 'encoder',
  settings: encoderSettings,
  environment: process.env,
  flags: process.argv.slice(2),
  compose: composeEncoder,
});
