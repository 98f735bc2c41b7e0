import { status } from '@grpc/grpc-js';
import {
  AbortedError,
  AlreadyExistsError,
  type ApplicationError,
  CancelledError,
  DataLossError,
  DeadlineExceededError,
  type ErrorDetails,
  type ErrorKind,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  ResourceExhaustedError,
  UnauthenticatedError,
  UnavailableError,
  UnsupportedError,
} from '@online-cnclip/foundation';
import type { ItemStatus } from './gen/onlinecnclip/common/v1/common.ts';

/** The one table between what a caller can do about an error and its gRPC status code. */
export const STATUS_OF_KIND: Readonly<Record<ErrorKind, status>> = {
  'invalid-input': status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  'already-exists': status.ALREADY_EXISTS,
  'failed-precondition': status.FAILED_PRECONDITION,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  aborted: status.ABORTED,
  cancelled: status.CANCELLED,
  'deadline-exceeded': status.DEADLINE_EXCEEDED,
  unavailable: status.UNAVAILABLE,
  'data-loss': status.DATA_LOSS,
  unsupported: status.UNIMPLEMENTED,
  unauthenticated: status.UNAUTHENTICATED,
  'permission-denied': status.PERMISSION_DENIED,
};

type ErrorClass = new (message: string, details?: ErrorDetails) => ApplicationError;

const CLASS_OF_STATUS: Partial<Readonly<Record<number, ErrorClass>>> = {
  [status.INVALID_ARGUMENT]: InvalidInputError,
  [status.OUT_OF_RANGE]: InvalidInputError,
  [status.NOT_FOUND]: NotFoundError,
  [status.ALREADY_EXISTS]: AlreadyExistsError,
  [status.FAILED_PRECONDITION]: FailedPreconditionError,
  [status.RESOURCE_EXHAUSTED]: ResourceExhaustedError,
  [status.ABORTED]: AbortedError,
  [status.CANCELLED]: CancelledError,
  [status.DEADLINE_EXCEEDED]: DeadlineExceededError,
  [status.UNAVAILABLE]: UnavailableError,
  [status.DATA_LOSS]: DataLossError,
  [status.UNIMPLEMENTED]: UnsupportedError,
  [status.UNAUTHENTICATED]: UnauthenticatedError,
  [status.PERMISSION_DENIED]: PermissionDeniedError,
};

/**
 * A failure of the other side that no caller can do anything about (INTERNAL, UNKNOWN, and codes that our
 * services never send). No ApplicationError: passed on, it is a defect here too.
 */
export class RemoteError extends Error {
  override readonly name = 'RemoteError';
  /** The gRPC status code. */
  readonly code: number;

  constructor(code: number, message: string, cause?: unknown) {
    super(`${status[code] ?? `status ${code}`}: ${message}`, { cause });
    this.code = code;
  }
}

/** The error that a status code and its text came from, on the other side of the wire. */
export function errorOfStatus(
  code: number,
  message: string,
  cause?: unknown,
): ApplicationError | RemoteError {
  const ErrorOfKind = CLASS_OF_STATUS[code];
  return ErrorOfKind ? new ErrorOfKind(message, { cause }) : new RemoteError(code, message, cause);
}

/** The status of an item that went well. */
export const ITEM_OK: ItemStatus = Object.freeze({ code: status.OK, message: '' });

/** Why an item failed; undefined when it did not. */
export function errorOfItem(item: ItemStatus | undefined): ApplicationError | RemoteError | undefined {
  if (item === undefined || item.code === status.OK) return undefined;
  return errorOfStatus(item.code, item.message);
}
