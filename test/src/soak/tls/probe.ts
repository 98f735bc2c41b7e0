import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { get } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { Shown } from './certificates.ts';

/** Nobody answers so late, except a service that hangs. */
const TIMEOUT_MS = 60_000;

/** `grpc 0`, `http 200`, or why there was no answer. */
export type Answer = string;

type Options = Pick<ConnectionOptions, 'minVersion' | 'maxVersion' | 'servername' | 'ciphers'> & {
  readonly alpn?: readonly string[];
};

const EMPTY_MESSAGE = Buffer.alloc(5);

const portOf = (address: string): number => Number(address.split(':').at(-1));

function open(address: string, shown: Shown, { alpn = ['h2'], ...options }: Options): TLSSocket {
  return connectTls({
    host: '127.0.0.1',
    port: portOf(address),
    ...shown,
    ...options,
    ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
  });
}

/** Calls a method of a gRPC service as bare HTTP/2, with whatever certificate and options. @param path `/package.Service/Method`. */
export function callWith(
  address: string,
  path: string,
  shown: Shown,
  options: Options = {},
): Promise<Answer> {
  const socket = open(address, shown, options);
  return answerOf((resolve) => {
    socket.on('error', (error) => resolve(problemOf(error)));
    socket.on('close', () => resolve('closed'));
    socket.on('secureConnect', () => {
      const session = connectHttp2('https://127.0.0.1', { createConnection: () => socket });
      request(session, path, resolve);
    });
  }).finally(() => socket.destroy());
}

/** The same without TLS. */
export function callInPlainText(address: string, path: string): Promise<Answer> {
  const session = connectHttp2(`http://127.0.0.1:${portOf(address)}`);
  return answerOf((resolve) => request(session, path, resolve)).finally(() => session.destroy());
}

function request(session: ClientHttp2Session, path: string, resolve: (answer: Answer) => void): void {
  session.on('error', (error) => resolve(problemOf(error)));
  session.on('close', () => resolve('closed'));
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const read = (headers: Record<string, unknown>): void => {
    if (headers['grpc-status'] !== undefined) resolve(`grpc ${String(headers['grpc-status'])}`);
  };
  stream
    .on('response', read)
    .on('trailers', read)
    .on('error', (error) => resolve(problemOf(error)));
  stream.resume();
  stream.end(EMPTY_MESSAGE);
}

export function readMetrics(address: string, shown: Shown, options: Options = {}): Promise<Answer> {
  const { alpn: _, ...tls } = options;
  const url = { host: '127.0.0.1', port: portOf(address), path: '/metrics', agent: false };
  return answerOf((resolve) => {
    const asked = get({ ...url, ...shown, ...tls }, (response) => {
      response.resume();
      resolve(`http ${response.statusCode}`);
    });
    asked.on('error', (error) => resolve(problemOf(error)));
  });
}

/** Bytes that are no handshake. */
export function sendNoise(address: string): Promise<Answer> {
  const socket = connectTcp(portOf(address), '127.0.0.1', () => socket.write('who goes there?\r\n\r\n'));
  return answerOf((resolve) => {
    socket.on('error', (error) => resolve(problemOf(error)));
    socket.on('close', () => resolve('closed'));
    socket.resume();
  }).finally(() => socket.destroy());
}

/** The serial number of the certificate that a new connection is shown. */
export function serialNumberShown(address: string, shown: Shown, options: Options): Promise<string> {
  const socket = open(address, shown, options);
  return answerOf((resolve) => {
    socket.on('error', (error) => resolve(problemOf(error)));
    socket.on('secureConnect', () => resolve(socket.getPeerCertificate().serialNumber));
  }).finally(() => socket.destroy());
}

async function answerOf(ask: (resolve: (answer: Answer) => void) => void): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const timer = setTimeout(() => resolve(`no answer within ${TIMEOUT_MS} ms`), TIMEOUT_MS);
  ask(resolve);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

const problemOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : error.message;
