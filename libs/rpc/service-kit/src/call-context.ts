import { randomUUID } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';
import type { Logger } from '@online-cnclip/foundation';

/** Metadata key under which a caller may name its request; the name is in the log lines of every service. */
export const REQUEST_ID_KEY = 'x-request-id';

/** Longer ones, or with characters that do not belong into a log line, are replaced by one of our own. */
const REQUEST_ID_PATTERN = /^[\w.:-]{1,64}$/;

/** What a handler may know about its call, and must obey: its signal. */
export interface CallContext {
  /**
   * Aborted when nobody waits for the answer any more: the caller cancelled or went away, the deadline passed, or
   * the drain ran out of time. The reason is the ApplicationError to throw (`throwIfAborted`).
   */
  readonly signal: AbortSignal;
  /** Aborted when the service begins to drain: for streams without an end of their own. */
  readonly draining: AbortSignal;
  /** When the caller stops waiting; undefined when it waits for ever. To be passed on to calls made on its behalf. */
  readonly deadline: Date | undefined;
  readonly metadata: Metadata;
  /** Address of the caller, for logs. */
  readonly peer: string;
  /** `onlinecnclip.encoder.v1.EncoderService/EncodeText`. */
  readonly method: string;
  /** Given by the caller or made here. To be passed on to calls made on its behalf. */
  readonly requestId: string;
  /** Its lines hold method and request id. */
  readonly logger: Logger;
}

interface CallSurface {
  readonly metadata: Metadata;
  getPeer(): string;
  getDeadline(): Date | number;
}

export function createCallContext(
  call: CallSurface,
  method: string,
  signals: { readonly signal: AbortSignal; readonly draining: AbortSignal },
  serviceLogger: Logger,
): CallContext {
  const deadline = call.getDeadline();
  let logger: Logger | undefined;
  return {
    ...signals,
    deadline: deadline === Number.POSITIVE_INFINITY ? undefined : new Date(deadline),
    metadata: call.metadata,
    peer: call.getPeer(),
    method,
    requestId: requestIdOf(call.metadata),
    // Most calls log nothing: the child logger is made when it is asked for.
    get logger() {
      logger ??= serviceLogger.child({ method, requestId: this.requestId });
      return logger;
    },
  };
}

function requestIdOf(metadata: Metadata): string {
  const [given] = metadata.get(REQUEST_ID_KEY);
  return typeof given === 'string' && REQUEST_ID_PATTERN.test(given) ? given : randomUUID();
}
