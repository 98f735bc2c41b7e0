import { type ConfigOf, InvalidInputError, type Logger } from '@online-cnclip/foundation';
import {
  isLoopback,
  type Listener,
  type ProcessContext,
  parseAddress,
  Watched,
} from '@online-cnclip/service-kit';
import { connectClients } from './clients.ts';
import { parseToken } from './http/log-in.ts';
import { pictureDatasets } from './pictures/picture-dataset.ts';
import { pictureFolder } from './pictures/picture-folder.ts';
import { joinSources } from './pictures/picture-sources.ts';
import { createConsole } from './server.ts';
import type { consoleSettings } from './settings.ts';

/** Wires the service. The services behind it are connected to when the first page asks. */
export async function composeConsole(
  context: ProcessContext<ConfigOf<typeof consoleSettings>>,
): Promise<Listener> {
  const { config, logger, telemetry, security } = context;
  const sources = [
    ...(config.picturesFolder === undefined ? [] : [pictureFolder(config.picturesFolder)]),
    pictureDatasets(config.pictureDatasets),
  ];
  if (config.tokenFile === undefined && !isLoopback(parseAddress(config.listenAddress).host))
    throw new InvalidInputError(
      'is not loopback: everybody who opens the page could do everything, set --token-file',
      {
        place: config.listenAddress,
      },
    );
  const token = await openToken(config.tokenFile, logger);
  return createConsole({
    clients: connectClients(
      {
        encoder: config.encoderAddress,
        trainer: config.trainerAddress,
        ranker: config.rankerAddress,
        crawler: config.crawlerAddress,
      },
      { credentials: security.credentials },
    ),
    pictures: joinSources(sources),
    logger,
    telemetry,
    allowedHosts: [hostHeaderOf(config.listenAddress), ...config.allowedHosts],
    tls: security.tls,
    token: token && (() => token.current),
    drainTimeoutMs: config.drainTimeoutMs,
  });
}

/** Read again when it changes. @throws InvalidInputError when there is none in the file. */
const openToken = async (path: string | undefined, logger: Logger): Promise<Watched<string> | undefined> =>
  path === undefined ? undefined : Watched.open([path], ([content]) => parseToken(content, path), { logger });

/** As a browser names it: an IPv6 address in brackets. */
function hostHeaderOf(address: string): string {
  const { host } = parseAddress(address);
  return host.includes(':') ? `[${host}]` : host;
}
