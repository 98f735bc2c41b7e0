import { silentLogger } from '@online-cnclip/foundation';
import { type Listener, Telemetry } from '@online-cnclip/service-kit';
import { connectClients } from '../clients.ts';
import { pictureFolder } from '../pictures/picture-folder.ts';
import { createConsole } from '../server.ts';
import { FakeServices } from './fake-services.ts';

export interface TestConsole {
  readonly fakes: FakeServices;
  readonly listener: Listener;
  /** `http://127.0.0.1:43210` */
  readonly origin: string;
  close(): Promise<void>;
}

/** A console on a port of its own over fake services. */
export async function startTestConsole(picturesFolder: string, token?: string): Promise<TestConsole> {
  const fakes = new FakeServices();
  const address = await fakes.listen();
  const listener = await createConsole({
    clients: connectClients({ encoder: address, trainer: address, ranker: address, crawler: address }),
    pictures: pictureFolder(picturesFolder),
    logger: silentLogger,
    telemetry: new Telemetry('console'),
    allowedHosts: [],
    tls: undefined,
    token: token === undefined ? undefined : () => token,
    drainTimeoutMs: 1_000,
  });
  const origin = `http://${await listener.listen('127.0.0.1:0')}`;
  return {
    fakes,
    listener,
    origin,
    close: async () => {
      await listener.close();
      await fakes.close();
    },
  };
}
