import { type ChannelCredentials, Client, credentials, type ServiceError } from '@grpc/grpc-js';
import {
  DEFAULT_MAX_MESSAGE_BYTES,
  KEEPALIVE_TIME_MS,
  KEEPALIVE_TIMEOUT_MS,
  type MethodShape,
  type RequestOf,
  type ResponseOf,
  type ServiceShape,
} from '@online-cnclip/contracts';
import { InvalidInputError, UnavailableError } from '@online-cnclip/foundation';
import type { CallOptions } from './call-options.ts';
import { callMany, callOnce } from './calls.ts';
import { tracedCall, tracedStream } from './tracing.ts';

/** Deadline of a call with one response, where nothing else is said. Streams have none by default. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** Calls take turns over all addresses of a name (a headless Service of Kubernetes), instead of all going to the first. */
const SPREAD_CALLS = JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] });

/** A method as the caller sees it: a promise for one response, an async iterable for many. */
export type ClientMethod<M extends MethodShape> = (
  request: M['requestStream'] extends true
    ? AsyncIterable<RequestOf<M>> | Iterable<RequestOf<M>>
    : RequestOf<M>,
  options?: CallOptions,
) => M['responseStream'] extends true ? AsyncGenerator<ResponseOf<M>, void, void> : Promise<ResponseOf<M>>;

/** The methods of a generated service definition, and the channel they share. */
export type ServiceClient<D extends ServiceShape> = { readonly [Name in keyof D]: ClientMethod<D[Name]> } & {
  /** Resolves once there is a connection. @throws UnavailableError when there is none in time. */
  waitUntilConnected(timeoutMs: number): Promise<void>;
  close(): void;
};

export interface ClientOptions<D extends ServiceShape = ServiceShape> {
  /** Deadline of calls with one response. */
  readonly timeoutMs?: number;
  /** Deadlines of single methods; Infinity for none. */
  readonly methodTimeoutsMs?: { readonly [Name in keyof D]?: number };
  readonly maxMessageBytes?: number;
  /** Plain text by default. */
  readonly credentials?: ChannelCredentials;
}

/**
 * A client of a service; connects with the first call. Every error is the ApplicationError class that the service threw,
 * or a RemoteError for its defects.
 *
 * @param address `host:port`.
 * @throws InvalidInputError when it is not an address.
 */
export function createServiceClient<D extends ServiceShape>(
  definition: D,
  address: string,
  options: ClientOptions<D> = {},
): ServiceClient<D> {
  const channel = openChannel(address, options);
  const methods = Object.entries(definition).map(([name, method]) => {
    const single = method.responseStream
      ? Number.POSITIVE_INFINITY
      : (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const timeoutMs = options.methodTimeoutsMs?.[name] ?? single;
    const call = method.responseStream
      ? tracedStream(method, (request, options) => callMany(channel, method, request, options))
      : tracedCall(method, (request, options) => callOnce(channel, method, request, options));
    return [
      name,
      (request: unknown, callOptions: CallOptions = {}) => call(request, { timeoutMs, ...callOptions }),
    ];
  });
  return {
    ...Object.fromEntries(methods),
    waitUntilConnected: (timeoutMs: number) => waitUntilConnected(channel, address, timeoutMs),
    close: () => channel.close(),
  } as ServiceClient<D>;
}

function openChannel(address: string, options: ClientOptions): Client {
  const maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
  try {
    return new Client(address, options.credentials ?? credentials.createInsecure(), {
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.service_config': SPREAD_CALLS,
    });
  } catch (cause) {
    throw new InvalidInputError('is not host:port, for example 127.0.0.1:50051', { place: address, cause });
  }
}

async function waitUntilConnected(channel: Client, address: string, timeoutMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  channel.waitForReady(Date.now() + timeoutMs, (cause?: Error | ServiceError) =>
    cause
      ? reject(new UnavailableError(`no connection within ${timeoutMs} ms`, { place: address, cause }))
      : resolve(),
  );
  await promise;
}
