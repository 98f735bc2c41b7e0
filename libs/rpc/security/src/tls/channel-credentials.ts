import { isIP, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { CallCredentials, ChannelCredentials, experimental } from '@grpc/grpc-js';
import type { TlsMaterial } from './material.ts';

interface Current {
  readonly current: TlsMaterial;
}

/** The part of grpc-js's target that is used here. */
interface Target {
  readonly path: string;
}

/** What gRPC's HTTP/2 is called in a handshake. */
export const ALPN_HTTP2 = 'h2';

/**
 * Mutual TLS for clients: shows the certificate that is current when a connection is made, and asks of the server one of our
 * authority, not revoked, for the name that was dialled.
 *
 * grpc-js's own credentials know no revocation list and no least version, do not change once made, and announce an IP address as if
 * it was a name.
 */
export class TlsChannelCredentials extends ChannelCredentials {
  readonly #material: Current;

  /** @param material asked at each connection. */
  constructor(material: Current) {
    super();
    this.#material = material;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other instanceof TlsChannelCredentials && other.#material === this.#material;
  }

  override _createSecureConnector(
    target: Target,
    _options: unknown,
    callCredentials: CallCredentials = CallCredentials.createEmpty(),
  ): experimental.SecureConnector {
    const host = hostOf(target);
    return {
      connect: async (socket) => ({
        socket: await secure(socket, host, this.#material.current),
        secure: true,
      }),
      waitForReady: async () => {},
      getCallCredentials: () => callCredentials,
      destroy: () => {},
    };
  }
}

/** The name that the server has to have a certificate for. Of several addresses grpc-js takes the first as their name. */
function hostOf({ path }: Target): string {
  const [first = path] = path.split(',');
  return experimental.splitHostPort(first)?.host ?? first;
}

function secure(socket: Socket, host: string, { context }: TlsMaterial): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const secured = connect({
    socket,
    host,
    ...(isIP(host) === 0 && { servername: host }),
    secureContext: context,
    ALPNProtocols: [ALPN_HTTP2],
    rejectUnauthorized: true,
  });
  const onClose = () => reject(new Error('the connection was closed during the handshake'));
  // The errors of an established connection are for the HTTP/2 session; one that comes in between must find a listener.
  secured.on('error', (error) => reject(readable(error, host)));
  secured.once('close', onClose);
  secured.once('secureConnect', () => {
    secured.off('close', onClose);
    if (secured.authorized && secured.alpnProtocol === ALPN_HTTP2) return resolve(secured);
    secured.destroy();
    reject(secured.authorizationError ?? new Error('the server does not speak HTTP/2'));
  });
  return promise;
}

/** OpenSSL's errors are addresses and line numbers around a code; Node's own are sentences. */
function readable(cause: Error, host: string): Error {
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  return code.startsWith('ERR_SSL_') ? new Error(`no TLS with ${host}: ${code}`, { cause }) : cause;
}
