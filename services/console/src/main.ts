// Composition root of the console: the only file of this service that reads the environment.
import { runProcess } from '@online-cnclip/service-kit';
import { composeConsole } from './compose.ts';
import { consoleSettings } from './settings.ts';

await runProcess({
  name: 'console',
  settings: consoleSettings,
  environment: process.env,
  flags: process.argv.slice(2),
  open: composeConsole,
});
