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
import { serviceConfigOf } from './retries.ts';
import { tracedCall, tracedStream } from './tracing.ts';

/** Deadline of a call with one response, where nothing else is said. Streams have none by default. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** A service that comes back is found again soon, however long it was away; grpc-js's own are 1 s and 2 minutes. */
const RECONNECT_BACKOFF_MS = { initial: 200, max: 10_000 };

/**
 * Requests kept to be sent again, of one call and of a client: a few dozen photos. A call with more is not tried again, as
 * it costs more than it is worth and may be refused for its very size. It is also what a stream sends before it waits for
 * its service to take it.
 */
const RETRY_BUFFER_BYTES = { call: 4 * 1024 * 1024, client: 64 * 1024 * 1024 };

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
  /**
   * Methods whose calls may be done twice (reads, pure computing): they are tried again, within a budget, when the service
   * is away or full. None by default.
   */
  readonly safeMethods?: readonly (keyof D)[];
  readonly maxMessageBytes?: number;
  /** Plain text by default: undefined is what a process without certificates has. */
  readonly credentials?: ChannelCredentials | undefined;
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
  const channel = openChannel(address, options, serviceConfigOf(definition, options.safeMethods ?? []));
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

function openChannel(
  address: string,
  options: Pick<ClientOptions, 'maxMessageBytes' | 'credentials'>,
  serviceConfig: string,
): Client {
  const maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
  try {
    return new Client(address, options.credentials ?? credentials.createInsecure(), {
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.initial_reconnect_backoff_ms': RECONNECT_BACKOFF_MS.initial,
      'grpc.max_reconnect_backoff_ms': RECONNECT_BACKOFF_MS.max,
      'grpc.per_rpc_retry_buffer_size': RETRY_BUFFER_BYTES.call,
      'grpc.retry_buffer_size': RETRY_BUFFER_BYTES.client,
      'grpc.service_config': serviceConfig,
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
