import { errorOfStatus, STATUS_OF_KIND } from '@online-cnclip/contracts';
import { ApplicationError, messageOf, storageErrorOf } from '@online-cnclip/foundation';
import type { FailureReport } from './messages.ts';

/** An error as a process tells it to the one that started it. */
export function failureReport(error: unknown): FailureReport {
  const known = error instanceof ApplicationError ? error : storageErrorOf(error);
  return {
    errorKind: known?.kind,
    message: messageOf(known ?? error),
    stack: error instanceof Error ? error.stack : undefined,
  };
}

export function errorOfReport({ errorKind, message, stack }: FailureReport): Error {
  if (errorKind !== undefined) return errorOfStatus(STATUS_OF_KIND[errorKind], message);
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
