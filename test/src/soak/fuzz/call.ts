import { type Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import type { Method } from './methods.ts';

export interface Ending {
  readonly code: status;
  readonly details: string;
  readonly responses: readonly Buffer[];
  /** Ended by us: an answer that has no end of its own. */
  readonly left: boolean;
}

export interface CallLimits {
  /** A call that takes longer hangs. */
  readonly timeoutMs: number;
  /** So long a stream of answers is listened to. */
  readonly listenMs: number;
  readonly maxResponses: number;
}

const same = (bytes: Buffer): Buffer => bytes;

/** Calls a method with these bytes as its messages, and resolves with its end, whatever it is. */
export function callWith(
  client: Client,
  { path, requestStream, responseStream }: Method,
  messages: readonly Buffer[],
  { timeoutMs, listenMs, maxResponses }: CallLimits,
): Promise<Ending> {
  const deadline = Date.now() + timeoutMs;
  const { promise, resolve } = Promise.withResolvers<Ending>();
  // As a stream both ways each kind of call is the same to a client; the server knows what it takes.
  const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(path, same, same, {
    deadline,
  });
  const responses: Buffer[] = [];
  let left = false;
  const leave = (): void => {
    left = true;
    call.cancel();
  };
  const patience = responseStream ? setTimeout(leave, listenMs) : undefined;
  call.on('data', (response: Buffer) => {
    responses.push(response);
    if (responseStream && responses.length >= maxResponses) leave();
  });
  call.on('error', (_: ServiceError) => {});
  call.on('status', ({ code, details }) => {
    clearTimeout(patience);
    resolve({ code, details, responses, left: left && code === status.CANCELLED });
  });
  for (const message of requestStream ? messages : messages.slice(0, 1)) call.write(message);
  call.end();
  return promise;
}
