import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf, UnavailableError } from '@online-cnclip/foundation';
import { formatAddress, parseAddress } from './address.ts';
import type { Telemetry } from './telemetry.ts';

export interface MetricsServer {
  /** `127.0.0.1:9464`, with the port that was really taken. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Serves `GET /metrics` in Prometheus' text format.
 *
 * @throws UnavailableError when the address cannot be bound.
 */
export async function startMetricsServer(address: string, telemetry: Telemetry): Promise<MetricsServer> {
  const { host, port } = parseAddress(address);
  const server = createServer(async (request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('only GET /metrics is here\n');
      return;
    }
    try {
      const text = await telemetry.registry.metrics();
      response.writeHead(200, { 'content-type': telemetry.registry.contentType }).end(text);
    } catch (error) {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`${messageOf(error)}\n`);
    }
  });
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new UnavailableError(`cannot listen for metrics: ${messageOf(cause)}`, { place: address, cause });
  }
  return {
    address: formatAddress({ host, port: (server.address() as AddressInfo).port }),
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
