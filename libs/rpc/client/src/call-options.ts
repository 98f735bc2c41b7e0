import { type CallOptions as GrpcCallOptions, Metadata, type ServiceError } from '@grpc/grpc-js';
import { errorOfStatus } from '@online-cnclip/contracts';
import { abortError } from '@online-cnclip/foundation';

/** Metadata key of a request's name in the log lines of every service it reaches. */
const REQUEST_ID_KEY = 'x-request-id';

export interface CallOptions {
  /** Cancels the call; it rejects with the signal's reason as an ApplicationError. */
  readonly signal?: AbortSignal | undefined;
  /** The call rejects with DeadlineExceededError after so long; Infinity for never. */
  readonly timeoutMs?: number;
  /** The same as a point in time, as a handler's context has it; the earlier of the two counts. */
  readonly deadline?: Date | undefined;
  /** Of the request that this call is made for. */
  readonly requestId?: string;
  readonly metadata?: Metadata;
}

export function grpcOptions({
  timeoutMs = Number.POSITIVE_INFINITY,
  deadline,
}: CallOptions): GrpcCallOptions {
  const end = Math.min(Date.now() + timeoutMs, deadline?.getTime() ?? Number.POSITIVE_INFINITY);
  return Number.isFinite(end) ? { deadline: end } : {};
}

export function metadataOf({ metadata, requestId }: CallOptions): Metadata {
  const all = metadata?.clone() ?? new Metadata();
  if (requestId !== undefined) all.set(REQUEST_ID_KEY, requestId);
  return all;
}

/** What grpc-js reports, as the error the service threw; the caller's own cancelling as the caller's reason. */
export function callError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return abortError(signal);
  if (!isServiceError(error)) return error;
  return errorOfStatus(error.code, error.details, error);
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}
