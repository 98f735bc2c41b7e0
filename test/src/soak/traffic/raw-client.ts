import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants } from 'node:http2';

const { HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH, HTTP2_HEADER_CONTENT_TYPE, HTTP2_HEADER_TE, NGHTTP2_CANCEL } =
  constants;

/** A flag and a length before each message. */
const PREFIX_BYTES = 5;

/** Of the connection and of each stream: no call waits for it. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** What grpc calls a stream that broke off before its status came. */
const UNAVAILABLE = 14;

export interface RawAnswer {
  /** The gRPC status code. */
  readonly code: number;
  readonly details: string;
  /** The bytes of the response. */
  readonly message: Buffer;
}

/** The bytes of one message as they travel. */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(PREFIX_BYTES + message.byteLength);
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/**
 * Unary calls straight over HTTP/2, of messages that are bytes already: a fraction of what a client costs that one would
 * use, so that the generator of a load takes little of the machine that the service is measured on.
 */
export class RawClient {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
    session.on('error', () => {});
  }

  static async connect(address: string): Promise<RawClient> {
    const session = connect(`http://${address}`, { settings: { initialWindowSize: WINDOW_BYTES } });
    await once(session, 'remoteSettings');
    session.setLocalWindowSize(WINDOW_BYTES);
    return new RawClient(session);
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** @param timeoutMs the call's deadline, which the service is told; past it the stream is reset. */
  call(path: string, frame: Buffer, timeoutMs?: number): Promise<RawAnswer> {
    return new Promise((resolve) => {
      if (!this.isOpen) return resolve({ code: UNAVAILABLE, details: 'not connected', message: frame });
      const stream = this.#session.request({
        [HTTP2_HEADER_METHOD]: 'POST',
        [HTTP2_HEADER_PATH]: path,
        [HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
        [HTTP2_HEADER_TE]: 'trailers',
        ...(timeoutMs !== undefined && { 'grpc-timeout': `${Math.ceil(timeoutMs)}m` }),
      });
      const chunks: Buffer[] = [];
      let code: number | undefined;
      let details = '';
      const read = (headers: NodeJS.Dict<string | string[]>) => {
        if (headers['grpc-status'] === undefined) return;
        code = Number(headers['grpc-status']);
        details = String(headers['grpc-message'] ?? '');
      };
      const timer =
        timeoutMs === undefined ? undefined : setTimeout(() => stream.close(NGHTTP2_CANCEL), timeoutMs);
      stream.on('response', read);
      stream.on('trailers', read);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', () => {});
      stream.on('close', () => {
        clearTimeout(timer);
        const [first] = chunks;
        const body = chunks.length === 1 && first ? first : Buffer.concat(chunks);
        resolve({ code: code ?? UNAVAILABLE, details, message: body.subarray(PREFIX_BYTES) });
      });
      stream.end(frame);
    });
  }

  close(): void {
    this.#session.destroy();
  }
}
