import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type {
  Client,
  ClientDuplexStream,
  ClientReadableStream,
  ClientUnaryCall,
  ClientWritableStream,
  ServiceError,
} from '@grpc/grpc-js';
import type { MethodShape } from '@online-cnclip/contracts';
import { throwIfAborted } from '@online-cnclip/foundation';
import { type CallOptions, callError, grpcOptions, metadataOf } from './call-options.ts';

type Messages = AsyncIterable<unknown> | Iterable<unknown>;
type Respond = (error: ServiceError | null, value?: unknown) => void;
interface Cancellable {
  cancel(): void;
}

/** Unary and client-streaming calls. */
export async function callOnce(
  channel: Client,
  method: MethodShape,
  request: unknown,
  options: CallOptions,
): Promise<unknown> {
  const { signal } = options;
  throwIfAborted(signal);
  const response = Promise.withResolvers<unknown>();
  const respond: Respond = (error, value) => (error ? response.reject(error) : response.resolve(value));
  const call = startOnce(channel, method, request, options, respond);
  const release = cancelOnAbort(call, signal);
  const writing = method.requestStream
    ? writeRequests(call as ClientWritableStream<unknown>, request as Messages)
    : undefined;
  try {
    // Requests that cannot be made end the call; once the service has answered, the rest of them does not matter.
    writing?.catch(response.reject);
    return await response.promise;
  } catch (error) {
    call.cancel();
    throw callError(error, signal);
  } finally {
    release();
  }
}

/** Server-streaming and bidirectional calls. Leaving the loop cancels the call. */
export async function* callMany(
  channel: Client,
  method: MethodShape,
  request: unknown,
  options: CallOptions,
): AsyncGenerator<unknown, void, void> {
  const { signal } = options;
  throwIfAborted(signal);
  const call = startMany(channel, method, request, options);
  const release = cancelOnAbort(call, signal);
  let requestError: unknown;
  if (method.requestStream)
    writeRequests(call as ClientDuplexStream<unknown, unknown>, request as Messages).catch((error) => {
      requestError = error;
      call.cancel();
    });
  try {
    for await (const message of call as Readable) yield message;
  } catch (error) {
    throw requestError ?? callError(error, signal);
  } finally {
    release();
    // Cancelling makes grpc-js emit an error that nobody is left to hear; ended calls ignore it.
    call.on('error', () => {});
    call.cancel();
  }
}

function startOnce(
  channel: Client,
  { path, requestStream, requestSerialize, responseDeserialize }: MethodShape,
  request: unknown,
  options: CallOptions,
  respond: Respond,
): ClientUnaryCall | ClientWritableStream<unknown> {
  const serialize = requestSerialize as (value: unknown) => Buffer;
  const [metadata, limits] = [metadataOf(options), grpcOptions(options)];
  return requestStream
    ? channel.makeClientStreamRequest(path, serialize, responseDeserialize, metadata, limits, respond)
    : channel.makeUnaryRequest(path, serialize, responseDeserialize, request, metadata, limits, respond);
}

function startMany(
  channel: Client,
  { path, requestStream, requestSerialize, responseDeserialize }: MethodShape,
  request: unknown,
  options: CallOptions,
): ClientReadableStream<unknown> | ClientDuplexStream<unknown, unknown> {
  const serialize = requestSerialize as (value: unknown) => Buffer;
  const [metadata, limits] = [metadataOf(options), grpcOptions(options)];
  return requestStream
    ? channel.makeBidiStreamRequest(path, serialize, responseDeserialize, metadata, limits)
    : channel.makeServerStreamRequest(path, serialize, responseDeserialize, request, metadata, limits);
}

/**
 * Writes requests as fast as the service takes them. When the call ends first the rest is not asked for, and the
 * requests' generator is closed.
 */
async function writeRequests(call: Writable & NodeJS.EventEmitter, requests: Messages): Promise<void> {
  const ended = new AbortController();
  call.once('status', () => ended.abort());
  for await (const request of requests) {
    if (ended.signal.aborted) return;
    if (call.write(request)) continue;
    try {
      await once(call, 'drain', { signal: ended.signal });
    } catch {
      return; // The call's end is reported by the call itself.
    }
  }
  call.end();
}

function cancelOnAbort(call: Cancellable, signal: AbortSignal | undefined): () => void {
  const cancel = () => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  return () => signal?.removeEventListener('abort', cancel);
}
