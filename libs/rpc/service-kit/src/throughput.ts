/** A shorter time says little: batches end many calls at once. */
const MEASURED_MS = 500;

/** Share of the newest measurement in the rate. */
const NEWEST = 0.5;

/** The rate at which a budget's cost is worked off while calls wait, so that a call can be told how long it would wait. */
export class Throughput {
  #ratePerMs: number | undefined;
  #since: number | undefined;
  #done = 0;

  /** Nothing waits any more, or something does: only what is worked off meanwhile is measured. */
  setBusy(busy: boolean, now: number): void {
    if (busy === (this.#since !== undefined)) return;
    this.#since = busy ? now : undefined;
    this.#done = 0;
  }

  add(cost: number, now: number): void {
    if (this.#since === undefined) return;
    this.#done += cost;
    const elapsedMs = now - this.#since;
    if (elapsedMs < MEASURED_MS) return;
    const rate = this.#done / elapsedMs;
    this.#ratePerMs = this.#ratePerMs === undefined ? rate : NEWEST * rate + (1 - NEWEST) * this.#ratePerMs;
    this.#since = now;
    this.#done = 0;
  }

  /** How long so much cost takes; 0 while nothing is known. */
  timeMs(cost: number): number {
    return this.#ratePerMs ? cost / this.#ratePerMs : 0;
  }
}
