import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';

const {
  HTTP2_HEADER_METHOD,
  HTTP2_HEADER_PATH,
  HTTP2_HEADER_CONTENT_TYPE,
  HTTP2_HEADER_TE,
  NGHTTP2_CANCEL,
  NGHTTP2_REFUSED_STREAM,
} = constants;

/** A flag and a length before each message. */
const PREFIX_BYTES = 5;

/** Of the connection and of each stream: no call waits for it. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** What a client of gRPC makes of a stream that broke off, and of one that it gave up, before the status came. */
const UNAVAILABLE = 14;
const DEADLINE_EXCEEDED = 4;

export interface RawAnswer {
  /** The gRPC status code. */
  readonly code: number;
  readonly details: string;
  /** The bytes of the response. */
  readonly message: Buffer;
  /** Whether the status came from the service, or is what was made of the stream's end. */
  readonly isAnswered: boolean;
  /** Whether it is sure that the service has not begun it. */
  readonly isRefused: boolean;
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

  /**
   * @param timeoutMs the call's deadline; past it the stream is reset.
   * @param toldMs what the service is told of it.
   */
  call(path: string, frame: Buffer, timeoutMs?: number, toldMs = timeoutMs): Promise<RawAnswer> {
    return new Promise((resolve) => {
      if (!this.isOpen) return resolve(notSent(frame));
      const stream = this.#open(
        path,
        toldMs === undefined ? {} : { 'grpc-timeout': `${Math.ceil(toldMs)}m` },
      );
      const chunks: Buffer[] = [];
      let [code, isAnswered, details]: [number | undefined, boolean, string] = [undefined, false, ''];
      const read = (headers: NodeJS.Dict<string | string[]>) => {
        if (headers['grpc-status'] === undefined) return;
        [code, isAnswered] = [Number(headers['grpc-status']), true];
        details = String(headers['grpc-message'] ?? '');
      };
      const giveUp = () => {
        code ??= DEADLINE_EXCEEDED;
        stream.close(NGHTTP2_CANCEL);
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(giveUp, timeoutMs);
      stream.on('response', read);
      stream.on('trailers', read);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('close', () => {
        clearTimeout(timer);
        const [first] = chunks;
        const body = chunks.length === 1 && first ? first : Buffer.concat(chunks);
        const isRefused = !isAnswered && stream.rstCode === NGHTTP2_REFUSED_STREAM;
        const message = body.subarray(PREFIX_BYTES);
        resolve({ code: code ?? UNAVAILABLE, details, message, isAnswered, isRefused });
      });
      stream.end(frame);
    });
  }

  /** Opens a stream of answers to one request; each chunk of their bytes is told. */
  watch(path: string, frame: Buffer, onData: (bytes: Buffer) => void): void {
    const stream = this.#open(path);
    stream.on('data', onData);
    stream.end(frame);
  }

  #open(path: string, more: Readonly<Record<string, string>> = {}): ClientHttp2Stream {
    const stream = this.#session.request({
      [HTTP2_HEADER_METHOD]: 'POST',
      [HTTP2_HEADER_PATH]: path,
      [HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      [HTTP2_HEADER_TE]: 'trailers',
      ...more,
    });
    stream.on('error', () => {});
    return stream;
  }

  close(): void {
    this.#session.destroy();
  }
}

const notSent = (message: Buffer): RawAnswer => ({
  code: UNAVAILABLE,
  details: 'not connected',
  message,
  isAnswered: false,
  isRefused: true,
});
