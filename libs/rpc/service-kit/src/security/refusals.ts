import type { Logger } from '@online-cnclip/foundation';
import type { Counter } from 'prom-client';
import { SECURITY_TELEMETRY } from '../metric-catalogue.ts';
import type { Telemetry } from '../telemetry.ts';

/** Lines in a window at most: whoever scans ports must not fill the disk. */
const MAX_LINES = 100;
const WINDOW_MS = 10_000;

export interface Refusal {
  /** What was refused: a connection, or the call of a method. */
  readonly what: 'connection' | 'call' | 'metrics';
  readonly reason: string;
  /** `address:port`. */
  readonly peer: string;
  /** Who the certificate says it is. */
  readonly who?: string;
  readonly method?: string;
}

/** Counts and logs what was refused for what its caller is. */
export class Refusals {
  readonly #logger: Logger;
  readonly #count: Counter<'what'>;
  #windowEnd = 0;
  #lines = 0;

  constructor(logger: Logger, telemetry: Telemetry) {
    this.#logger = logger;
    this.#count = telemetry.counter(SECURITY_TELEMETRY.refused);
  }

  report(refusal: Refusal, now = Date.now()): void {
    this.#count.inc({ what: refusal.what });
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + WINDOW_MS;
      this.#lines = 0;
    }
    this.#lines++;
    if (this.#lines < MAX_LINES) this.#logger.warn({ ...refusal }, `refused a ${refusal.what}`);
    else if (this.#lines === MAX_LINES)
      this.#logger.warn({ windowMs: WINDOW_MS }, 'refused so many that the rest is only counted');
  }
}
