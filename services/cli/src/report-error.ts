import { ApplicationError, messageOf, storageErrorOf } from '@online-cnclip/foundation';
import { CommanderError } from 'commander';
import { EXIT } from './exit-codes.ts';

export interface Failure {
  readonly exitCode: number;
  /** Absent where commander has said it already, or there is nothing to say. */
  readonly text?: string;
}

/** @param debug whether to show where an unexpected error came from. */
export function describeFailure(error: unknown, debug: boolean): Failure {
  if (error instanceof CommanderError) return { exitCode: error.exitCode === 0 ? EXIT.ok : EXIT.badInput };
  if (error instanceof ApplicationError)
    return {
      exitCode: exitCodeOf(error),
      text: `cnclip: ${debug ? stackOf(error) : oneLine(error.message)}`,
    };
  const storage = storageErrorOf(error);
  if (storage && !debug)
    return { exitCode: EXIT.failed, text: `cnclip: ${storage.message}: ${oneLine(messageOf(error))}` };
  if (debug) return { exitCode: EXIT.failed, text: `cnclip: ${stackOf(error)}` };
  const message = error instanceof Error ? error.message : String(error);
  return {
    exitCode: EXIT.failed,
    text: `cnclip: unexpected error: ${oneLine(message)} (DEBUG=1 shows where it comes from)`,
  };
}

/** Commander's own text of a mistake, in our form. */
export const usageError = (text: string): string =>
  `cnclip: ${oneLine(text.replace(/^error: /, '').trim())}\n`;

function exitCodeOf({ kind }: ApplicationError): number {
  if (kind === 'invalid-input') return EXIT.badInput;
  return kind === 'cancelled' ? EXIT.interrupted : EXIT.failed;
}

const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, ' ');

/** The stack of the error and of what caused it. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
