import { randomUUID } from 'node:crypto';
import type { Metadata, ServerUnaryCall } from '@grpc/grpc-js';
import type { Logger } from '@online-cnclip/foundation';
import { describeIdentity, identityOf } from '@online-cnclip/security';

/** Metadata key under which a caller may name its request; the name is in the log lines of every service. */
export const REQUEST_ID_KEY = 'x-request-id';

/** Longer ones, or with characters that do not belong into a log line, are replaced by one of our own. */
const REQUEST_ID_PATTERN = /^[\w.:-]{1,64}$/;

/** As peers are written: `127.0.0.1:50051`, `[::1]:50051`, and IPv4 within IPv6. */
const LOOPBACK_PATTERN = /^(127\.|\[?::1\]?$|\[?::ffff:127\.)/;

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
  /** Whose call it is, for fairness between clients: who its certificate names, else where it comes from. */
  readonly client: string;
  /**
   * For handlers that work on several messages of a stream: says that this one is done, and its cost free for others. All
   * that a handler does not release is when it ends.
   */
  release(message: unknown): void;
  /** `onlinecnclip.encoder.v1.EncoderService/EncodeText`. */
  readonly method: string;
  /** Given by the caller or made here. To be passed on to calls made on its behalf. */
  readonly requestId: string;
  /** Its lines hold method and request id. */
  readonly logger: Logger;
}

/** The part of a call of grpc-js that says who calls. */
export type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;

interface CallSurface {
  readonly metadata: Metadata;
  getPeer(): string;
  getAuthContext(): AuthContext;
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
  let client: string | undefined;
  let requestId: string | undefined;
  return {
    ...signals,
    deadline: deadline === Number.POSITIVE_INFINITY ? undefined : new Date(deadline),
    metadata: call.metadata,
    peer: call.getPeer(),
    method,
    release: () => {},
    // Most calls log nothing and are alone: what they do not need is made when it is asked for.
    get client() {
      client ??= clientOf(call);
      return client;
    },
    get requestId() {
      requestId ??= requestIdOf(call.metadata);
      return requestId;
    },
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

/**
 * Clients by the name in their certificate; without one by their host. On one machine all have the same host: there each
 * connection is a client of its own.
 */
function clientOf(call: CallSurface): string {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate) return describeIdentity(identityOf(certificate));
  const peer = call.getPeer();
  const host = peer.slice(0, peer.lastIndexOf(':'));
  return LOOPBACK_PATTERN.test(host) ? peer : host;
}
