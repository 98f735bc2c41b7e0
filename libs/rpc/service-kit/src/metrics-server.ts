import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type ApplicationError, messageOf, UnavailableError } from '@online-cnclip/foundation';
import { identityOf, METRICS_METHOD, type TlsMaterial, type Watched } from '@online-cnclip/security';
import { formatAddress, parseAddress } from './address.ts';
import { problemOf } from './security/access.ts';
import type { ServerSecurity } from './security/process-security.ts';
import {
  certificateProblem,
  HANDSHAKE_TIMEOUT_MS,
  handshakeProblem,
  hasLeft,
  peerOf,
} from './security/tls-listener.ts';
import type { Telemetry } from './telemetry.ts';

export interface MetricsServer {
  /** `127.0.0.1:9464`, with the port that was really taken. */
  readonly address: string;
  close(): Promise<void>;
}

type Serve = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * Serves `GET /metrics` in Prometheus' text format: with certificates only to whom the policy lets read metrics.
 *
 * @throws UnavailableError when the address cannot be bound.
 */
export async function startMetricsServer(
  address: string,
  telemetry: Telemetry,
  security: ServerSecurity,
): Promise<MetricsServer> {
  const { host, port } = parseAddress(address);
  const serve = servePage(telemetry);
  const { tls } = security;
  const server = tls ? secureServer(serve, tls, security) : createServer(serve);
  const stopWatching = tls?.onChange(({ options }) => (server as SecureServer).setSecureContext(options));
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new UnavailableError(`cannot listen for metrics: ${messageOf(cause)}`, { place: address, cause });
  }
  return {
    address: formatAddress({ host, port: (server.address() as AddressInfo).port }),
    close: async () => {
      stopWatching?.();
      server.closeAllConnections();
      server.close();
    },
  };
}

const servePage =
  (telemetry: Telemetry): Serve =>
  async (request, response) => {
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
  };

function secureServer(serve: Serve, tls: Watched<TlsMaterial>, { policy, refusals }: ServerSecurity): Server {
  const options = { requestCert: true, rejectUnauthorized: false, handshakeTimeout: HANDSHAKE_TIMEOUT_MS };
  const server = createSecureServer({ ...tls.current.options, ...options }, async (request, response) => {
    const socket = request.socket as TLSSocket;
    const problem = problemOf(identityOf(socket.getPeerCertificate()), METRICS_METHOD, policy.current);
    if (!problem) return serve(request, response);
    refusals.report({ what: 'metrics', reason: problem.message, peer: peerOf(socket) });
    response.writeHead(statusOf(problem), { 'content-type': 'text/plain' }).end(`${problem.message}\n`);
  });
  const refuse = (socket: TLSSocket, reason: string) => {
    refusals.report({ what: 'metrics', reason, peer: peerOf(socket) });
    socket.destroy();
  };
  // Before the server's own listener, which would read requests.
  server.prependListener('secureConnection', (socket) => {
    const reason = certificateProblem(socket, tls.current.revoked);
    if (reason !== undefined) refuse(socket, reason);
  });
  server.on('tlsClientError', (error, socket) => {
    if (!hasLeft(error)) refuse(socket, handshakeProblem(error));
  });
  return server;
}

const statusOf = ({ kind }: ApplicationError): number => (kind === 'unauthenticated' ? 401 : 403);
