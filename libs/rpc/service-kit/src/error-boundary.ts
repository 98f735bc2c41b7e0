import { randomUUID } from 'node:crypto';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ITEM_OK, STATUS_OF_KIND } from '@online-cnclip/contracts';
import type { ItemStatus } from '@online-cnclip/contracts/common/v1';
import { ApplicationError, abortError, type Logger, storageErrorOf } from '@online-cnclip/foundation';
import { BusyError } from './busy-error.ts';
import type { CallContext } from './call-context.ts';

/** Trailer that holds the id under which the cause of an INTERNAL error was logged. */
export const ERROR_ID_KEY = 'error-id';

/** Trailer that gRPC's retry policy obeys (gRFC A6): milliseconds until the next try, or a negative number for none. */
const RETRY_PUSHBACK_KEY = 'grpc-retry-pushback-ms';
const NO_RETRY = '-1';

/** A status travels in HTTP/2 headers, percent-encoded (9 bytes per Chinese character), and peers cap those at 8 KiB. */
const MAX_DETAILS_LENGTH = 700;

/** What grpc-js sends as the end of a call. */
export type CallStatus = Pick<ServiceError, 'name' | 'message' | 'code' | 'details' | 'metadata'>;

/**
 * The one place where an error becomes a gRPC status. An ApplicationError's text goes to the caller; anything else
 * is a defect: the caller gets an id, the log gets the id and the whole cause.
 */
export function statusOfError(error: unknown, context: CallContext): CallStatus {
  const known = knownError(error) ?? abortedError(context.signal);
  if (known) {
    if (known.kind === 'data-loss') context.logger.error({ err: known }, 'damaged data');
    else if (known !== error) context.logger.error({ err: known }, 'the storage fails');
    else context.logger.debug({ err: known }, 'call failed');
    return callStatus(STATUS_OF_KIND[known.kind], known.message, retryAdvice(known));
  }
  const errorId = logDefect(error, context.logger);
  const metadata = new Metadata();
  metadata.set(ERROR_ID_KEY, errorId);
  return callStatus(status.INTERNAL, internalText(errorId), metadata);
}

/** The same for one item of a batch: logs a defect, names anything else. `undefined` is the status of success. */
export function itemStatus(error: unknown, context: CallContext): ItemStatus {
  if (error === undefined) return ITEM_OK;
  const known = knownError(error);
  if (known) return { code: STATUS_OF_KIND[known.kind], message: fitDetails(known.message) };
  return { code: status.INTERNAL, message: internalText(logDefect(error, context.logger)) };
}

/** Only what is full for the moment is worth another try; a limit of a message or a batch stays as it is. */
function retryAdvice(error: ApplicationError): Metadata {
  const metadata = new Metadata();
  if (error instanceof BusyError) metadata.set(RETRY_PUSHBACK_KEY, String(error.retryAfterMs));
  else if (error.kind === 'resource-exhausted') metadata.set(RETRY_PUSHBACK_KEY, NO_RETRY);
  return metadata;
}

/** A full or broken disk is no defect of a handler, wherever it is met. */
const knownError = (error: unknown): ApplicationError | undefined =>
  error instanceof ApplicationError ? error : storageErrorOf(error);

/** An error thrown because the call was aborted (an AbortError of Node's own, say) is the abortion itself. */
function abortedError(signal: AbortSignal): ApplicationError | undefined {
  return signal.aborted ? abortError(signal) : undefined;
}

function logDefect(error: unknown, logger: Logger): string {
  const errorId = randomUUID();
  logger.error({ err: error, errorId }, 'defect in a handler');
  return errorId;
}

const internalText = (errorId: string): string =>
  `internal error ${errorId}; its cause is in the service's log`;

function callStatus(code: status, message: string, metadata = new Metadata()): CallStatus {
  const details = fitDetails(message);
  return { name: 'ServiceError', message: details, code, details, metadata };
}

/** grpc-js encodes the text with encodeURI, which throws (and would end the process) on half a surrogate pair. */
function fitDetails(text: string): string {
  const cut = text.length > MAX_DETAILS_LENGTH ? `${text.slice(0, MAX_DETAILS_LENGTH)}…` : text;
  return cut.toWellFormed();
}
