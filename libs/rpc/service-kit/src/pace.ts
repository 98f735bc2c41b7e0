/** Shares of the newest call in the mean and in the deviation of the time that one takes, as TCP has them (RFC 6298). */
const NEWEST_TIME = 1 / 8;
const NEWEST_DEVIATION = 1 / 4;

/** Deviations above the mean within which nearly every call ends, of the same source. */
const DEVIATIONS = 4;

/**
 * How fast a budget's calls are worked off, so that one that could not be done before its deadline need not be begun, nor
 * even wait. Only calls that went well count: those that are given up end early.
 */
export class Pace {
  readonly #maxRunning: number;
  #meanMs: number | undefined;
  #deviationMs = 0;

  /** @param maxRunning cost that is worked on at a time while others wait. */
  constructor(maxRunning: number) {
    this.#maxRunning = maxRunning;
  }

  add(tookMs: number): void {
    this.#meanMs ??= tookMs;
    const beside = tookMs - this.#meanMs;
    this.#deviationMs += NEWEST_DEVIATION * (Math.abs(beside) - this.#deviationMs);
    this.#meanMs += NEWEST_TIME * beside;
  }

  /**
   * How long it takes until so much cost has begun, by Little's law: what is worked on is worked off in the time that a call
   * takes. 0 while nothing is known.
   */
  waitMs(cost: number): number {
    return (cost / this.#maxRunning) * (this.#meanMs ?? 0);
  }

  /** Within which nearly every call ends that has begun; 0 while nothing is known. */
  get callMs(): number {
    return (this.#meanMs ?? 0) + DEVIATIONS * this.#deviationMs;
  }
}
