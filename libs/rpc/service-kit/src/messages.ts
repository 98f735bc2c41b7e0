import type { ServiceShape } from '@online-cnclip/contracts';
import { InvalidInputError, type Logger, messageOf } from '@online-cnclip/foundation';

/** Stands for a request that is no message of its type, until the error boundary is in reach. */
class MalformedRequest {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

/** Bytes of each request as it came, for as long as the request is there. */
const bytesOfRequest = new WeakMap<object, number>();

/** Bytes that a request had on the wire; 0 for what did not come through {@link guardMessages}. */
export function encodedBytes(request: unknown): number {
  return (typeof request === 'object' && request !== null && bytesOfRequest.get(request)) || 0;
}

/**
 * The definition with parsing and writing that fail as everything else does. Left to itself grpc-js calls a malformed request
 * INTERNAL, and drops the reason why a response cannot be written.
 */
export function guardMessages(definition: ServiceShape, logger: Logger): ServiceShape {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer): unknown => {
        try {
          const request = method.requestDeserialize(bytes);
          bytesOfRequest.set(request as object, bytes.byteLength);
          return request;
        } catch (cause) {
          return new MalformedRequest(cause);
        }
      };
      const responseSerialize = (value: never): Buffer => {
        try {
          return method.responseSerialize(value);
        } catch (error) {
          logger.error(
            { err: error, method: method.path },
            'a handler made a response that cannot be written',
          );
          throw error;
        }
      };
      return [name, { ...method, requestDeserialize, responseSerialize }];
    }),
  );
}

/** @throws InvalidInputError when the request could not be parsed. */
export function requireWellFormed(request: unknown): unknown {
  if (request instanceof MalformedRequest)
    throw new InvalidInputError(`not a message of this method: ${messageOf(request.cause)}`, {
      place: 'request',
      cause: request.cause,
    });
  return request;
}
