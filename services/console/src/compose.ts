import type { ConfigOf } from '@online-cnclip/foundation';
import { type Listener, type ProcessContext, parseAddress } from '@online-cnclip/service-kit';
import { connectClients } from './clients.ts';
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
    drainTimeoutMs: config.drainTimeoutMs,
  });
}

/** As a browser names it: an IPv6 address in brackets. */
function hostHeaderOf(address: string): string {
  const { host } = parseAddress(address);
  return host.includes(':') ? `[${host}]` : host;
}
