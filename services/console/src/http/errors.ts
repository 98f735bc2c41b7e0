import { randomUUID } from 'node:crypto';
import { RemoteError } from '@online-cnclip/contracts';
import { ApplicationError, type ErrorKind, type Logger, messageOf } from '@online-cnclip/foundation';
import type { ErrorAnswer } from '../wire.ts';

/** The one table between what a caller can do about an error and its HTTP status. */
const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  'invalid-input': 400,
  'not-found': 404,
  'already-exists': 409,
  'failed-precondition': 409,
  'resource-exhausted': 429,
  aborted: 409,
  // What nginx answers for a client that went away; nobody is left to read it.
  cancelled: 499,
  'deadline-exceeded': 504,
  unavailable: 503,
  'data-loss': 500,
  unsupported: 501,
  // Of the console with a service: the page's own log-in is told apart by http/access.ts.
  unauthenticated: 502,
  'permission-denied': 403,
};
const BAD_GATEWAY = 502;
const INTERNAL = 500;

export interface HttpFailure {
  readonly status: number;
  readonly body: ErrorAnswer;
}

/**
 * What a page is told about an error. A service's defect keeps the text with the id that its own log has; anything unknown is a
 * defect of the console: the page gets an id, the log gets the id and the whole cause.
 */
export function failureOf(error: unknown, logger: Logger): HttpFailure {
  if (error instanceof ApplicationError)
    return failure(STATUS_OF_KIND[error.kind], error.kind, error.message);
  if (error instanceof RemoteError) return failure(BAD_GATEWAY, 'remote', error.message);
  const refused = statusOfFastify(error);
  if (refused !== undefined) return failure(refused, 'invalid-input', messageOf(error));
  const errorId = randomUUID();
  logger.error({ err: error, errorId }, 'defect in a route');
  return failure(INTERNAL, 'internal', `internal error ${errorId}, see the log of the console`);
}

const failure = (status: number, kind: string, message: string): HttpFailure => ({
  status,
  body: { error: { kind, message } },
});

/** Fastify's own refusals (body too large, not JSON, wrong media type) carry their status. */
function statusOfFastify(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  const { statusCode } = error;
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}
