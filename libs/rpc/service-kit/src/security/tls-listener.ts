import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  createServer,
  type DetailedPeerCertificate,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { messageOf, UnavailableError } from '@online-cnclip/foundation';
import {
  ALPN_HTTP2,
  describeIdentity,
  identityOf,
  type TlsMaterial,
  type Watched,
} from '@online-cnclip/security';
import { formatAddress, parseAddress } from '../address.ts';
import type { Refusals } from './refusals.ts';

/** A client that has not said who it is by then holds a socket for nothing. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * The TLS end of a gRPC server: takes connections, asks for a certificate, and hands over to grpc-js those whose is good. grpc-js's
 * own TLS server tells nobody why it refuses, takes clients without a certificate, and cannot end the connections of one that is
 * revoked.
 */
export class TlsListener {
  readonly #server: TlsServer;
  readonly #sockets = new Set<TLSSocket>();
  readonly #refusals: Refusals;
  readonly #stopWatching: () => void;

  private constructor(grpc: Server, tls: Watched<TlsMaterial>, refusals: Refusals) {
    this.#refusals = refusals;
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    this.#server = createServer({ ...tls.current.options, ...SERVER_OPTIONS });
    this.#server.on('secureConnection', (socket) => {
      // The errors of a connection are its session's, which forgets to listen at its very end.
      socket.on('error', () => {});
      const reason = reasonToRefuse(socket, tls.current.revoked);
      if (reason !== undefined) return this.#refuse(socket, reason);
      rememberCertificate(socket);
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      injector.injectConnection(socket);
    });
    this.#server.on('tlsClientError', (error, socket) => {
      if (!hasLeft(error)) this.#refuse(socket, handshakeProblem(error));
    });
    this.#stopWatching = tls.onChange((material) => {
      this.#server.setSecureContext(material.options);
      this.#endRevoked(material.revoked);
    });
  }

  /** @throws UnavailableError when the address cannot be bound. */
  static async open(
    grpc: Server,
    address: string,
    tls: Watched<TlsMaterial>,
    refusals: Refusals,
  ): Promise<TlsListener> {
    const listener = new TlsListener(grpc, tls, refusals);
    const { host, port } = parseAddress(address);
    listener.#server.listen(port, host);
    try {
      await once(listener.#server, 'listening');
    } catch (cause) {
      listener.close();
      throw new UnavailableError(`cannot listen: ${messageOf(cause)}`, { place: address, cause });
    }
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no more connections. Those that there are belong to grpc-js, which ends them. */
  close(): void {
    this.#stopWatching();
    this.#server.close();
  }

  #endRevoked(revoked: ReadonlySet<string>): void {
    for (const socket of this.#sockets) {
      const reason = reasonToRefuse(socket, revoked);
      if (reason !== undefined) this.#refuse(socket, reason);
    }
  }

  #refuse(socket: TLSSocket, reason: string): void {
    const peer = peerOf(socket);
    const { raw, ...certificate } = socket.getPeerCertificate() ?? {};
    const who = raw && { who: describeIdentity(identityOf(certificate)) };
    this.#refusals.report({ what: 'connection', reason, peer, ...who });
    socket.destroy();
  }
}

/** What a server asks of its clients. Whether it is there and good is looked at here, so that the reason can be told. */
export const SERVER_OPTIONS = {
  requestCert: true,
  rejectUnauthorized: false,
  ALPNProtocols: [ALPN_HTTP2],
  handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
} as const;

function reasonToRefuse(socket: TLSSocket, revoked: ReadonlySet<string>): string | undefined {
  const reason = certificateProblem(socket, revoked);
  if (reason !== undefined) return reason;
  return socket.alpnProtocol === ALPN_HTTP2 ? undefined : 'the client does not speak HTTP/2';
}

/** Every call asks who is at the other end, and taking the certificate apart costs as much as a small call: 76 us. */
function rememberCertificate(socket: TLSSocket): void {
  const certificate = socket.getPeerCertificate();
  socket.getPeerCertificate = () => certificate as DetailedPeerCertificate;
}

/** Why the other side is not believed to be who it says; undefined when it is. */
export function certificateProblem(socket: TLSSocket, revoked: ReadonlySet<string>): string | undefined {
  const certificate = socket.getPeerCertificate();
  // `raw` is missing from the empty object that stands for no certificate.
  if (!certificate?.raw) return 'no client certificate';
  if (!socket.authorized) return `client certificate: ${String(socket.authorizationError)}`;
  const identity = identityOf(certificate);
  return revoked.has(identity.serialNumber)
    ? `client certificate: CERT_REVOKED, ${identity.serialNumber}`
    : undefined;
}

/** Whether the other side hung up of its own accord: a load balancer that looks whether the port is open, say. Nobody was refused. */
export const hasLeft = (error: Error): boolean => 'code' in error && error.code === 'ECONNRESET';

/** OpenSSL's code says more than its text, which holds addresses in memory. */
export function handshakeProblem(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  return `handshake: ${code}`;
}

export const peerOf = ({ remoteAddress, remotePort }: TLSSocket): string =>
  remoteAddress === undefined ? 'gone' : formatAddress({ host: remoteAddress, port: remotePort ?? 0 });
