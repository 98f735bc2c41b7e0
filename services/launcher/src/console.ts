import { join } from 'node:path';
import { certificateFlags } from './certificates.ts';
import { GALLERIES_FOLDER } from './main-job/gallery-pictures.ts';
import type { ReadyService, ServiceDefinition } from './processes/supervisor.ts';

const NAME = 'console';
/** Where people look for a page. */
const PORT = 8_080;
/** The services it speaks with, as far as they are started. */
const BEHIND = ['encoder', 'trainer', 'ranker', 'crawler'] as const;
/** Pages that watch are let go at once; this is for answers under way. */
const DRAIN_TIMEOUT_MS = 2_000;

/** The console, last in the list of services, because it is given the addresses of all others. */
export function consoleDefinition(
  root: string,
  dataFolder: string,
  portBase: number,
  certs?: string,
): ServiceDefinition {
  return {
    name: NAME,
    entry: join(root, 'services', NAME, 'src/main.ts'),
    port: portBase === 0 ? 0 : PORT,
    argumentsFor: (address, before) => [
      ...['--listen-address', address, '--metrics-address', '127.0.0.1:0'],
      ...['--drain-timeout-ms', String(DRAIN_TIMEOUT_MS)],
      ...certificateFlags(certs, NAME),
      ...['--pictures-folder', join(dataFolder, GALLERIES_FOLDER)],
      ...BEHIND.flatMap((name) => {
        const other = before.get(name);
        return other === undefined ? [] : [`--${name}-address`, other];
      }),
    ],
  };
}

/** What to open, once everything is up. */
export const formatConsole = (services: ReadonlyMap<string, ReadyService>, certs?: string): string =>
  `open ${certs === undefined ? 'http' : 'https'}://${services.get(NAME)?.address ?? ''} for search, training, sessions and crawls`;
