/**
 * What a caller can do about an error. The service kit maps each kind to one gRPC status code; the CLI to an
 * exit status.
 */
export type ErrorKind =
  | 'invalid-input'
  | 'not-found'
  | 'already-exists'
  | 'failed-precondition'
  | 'resource-exhausted'
  | 'aborted'
  | 'cancelled'
  | 'deadline-exceeded'
  | 'unavailable'
  | 'data-loss'
  | 'unsupported'
  | 'unauthenticated'
  | 'permission-denied';

export interface ErrorDetails {
  /** The field, option, or `file:line` that the error is about. */
  readonly place?: string;
  readonly cause?: unknown;
}

/** Base of every error whose text is fit for a caller. Anything else that is thrown counts as a defect. */
export abstract class ApplicationError extends Error {
  abstract readonly kind: ErrorKind;
  readonly place: string | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(
      details.place === undefined ? message : `${details.place}: ${message}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.name = new.target.name;
    this.place = details.place;
  }
}

/** The value given can never work: correct it before trying again. */
export class InvalidInputError extends ApplicationError {
  readonly kind = 'invalid-input';
}

export class NotFoundError extends ApplicationError {
  readonly kind = 'not-found';
}

export class AlreadyExistsError extends ApplicationError {
  readonly kind = 'already-exists';
}

/** The value is fine, the state is not (no model loaded, a run still going). */
export class FailedPreconditionError extends ApplicationError {
  readonly kind = 'failed-precondition';
}

/** A queue or limit is full: retry later. */
export class ResourceExhaustedError extends ApplicationError {
  readonly kind = 'resource-exhausted';
}

/** A concurrent change won: read again, then retry. */
export class AbortedError extends ApplicationError {
  readonly kind = 'aborted';
}

export class CancelledError extends ApplicationError {
  readonly kind = 'cancelled';
}

export class DeadlineExceededError extends ApplicationError {
  readonly kind = 'deadline-exceeded';
}

/** The other side is not there or is draining: retry elsewhere or later. */
export class UnavailableError extends ApplicationError {
  readonly kind = 'unavailable';
}

/** Stored data is damaged: truncated, corrupt, or not what its header says. */
export class DataLossError extends ApplicationError {
  readonly kind = 'data-loss';
}

export class UnsupportedError extends ApplicationError {
  readonly kind = 'unsupported';
}

/** Nothing that is believed says who the caller is. */
export class UnauthenticatedError extends ApplicationError {
  readonly kind = 'unauthenticated';
}

/** It is known who the caller is, and that it may not do this. */
export class PermissionDeniedError extends ApplicationError {
  readonly kind = 'permission-denied';
}

/** The error of an aborted signal: the typed reason it was aborted with, else a {@link CancelledError}. */
export function abortError(signal: AbortSignal): ApplicationError {
  const { reason } = signal;
  if (reason instanceof ApplicationError) return reason;
  if (reason instanceof DOMException && reason.name === 'TimeoutError')
    return new DeadlineExceededError('the deadline passed', { cause: reason });
  return new CancelledError('cancelled by the caller', { cause: reason });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** An error in other words, where its own are not for the caller; what can be done about it stays. */
export class RetoldError extends ApplicationError {
  readonly kind: ErrorKind;

  constructor(error: ApplicationError, message: string, place: string) {
    super(message, { place, cause: error });
    this.kind = error.kind;
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
