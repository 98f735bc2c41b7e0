import { ResourceExhaustedError } from '@online-cnclip/foundation';

/** So soon at the earliest, so late at the latest, is a caller asked to come back. */
const RETRY_AFTER_MS = { min: 50, max: 2_000 };

/** Share by which each caller's time differs, so that those refused together do not come back together. */
const JITTER = 0.2;

/** Full for the moment: the same call may be let in a little later. Other exhausted resources are limits that stay. */
export class BusyError extends ResourceExhaustedError {
  /** When there may be room. */
  readonly retryAfterMs: number;

  /** @param estimateMs time until there is room, as far as is known. */
  constructor(message: string, estimateMs: number) {
    // Refusing has to be cheap, and everybody knows where it happens: no stack is taken.
    const usual = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = usual;
    const { min, max } = RETRY_AFTER_MS;
    const jitter = 1 + JITTER * (2 * Math.random() - 1);
    this.retryAfterMs = Math.round(Math.min(Math.max(estimateMs, min), max) * jitter);
  }
}
