import { ResourceExhaustedError } from '@online-cnclip/foundation';

export interface AdmissionLimits {
  /** What is admitted, for the error: "texts", "images". */
  readonly items: string;
  readonly maxItems: number;
  /** What an item costs: "tokens", "bytes". */
  readonly unit: string;
  readonly maxCost: number;
}

/**
 * Bounds what waits and computes, by number and by cost. A request is admitted as a whole or not at all, so that a
 * refused one can simply be sent again.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  #items = 0;
  #cost = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get items(): number {
    return this.#items;
  }

  get cost(): number {
    return this.#cost;
  }

  /**
   * Admits one request of items with these costs; give each back with {@link release}. When nothing is queued any
   * one request is admitted: its size is bounded by the limits of a request, and waiting would not make room.
   *
   * @throws ResourceExhaustedError when the request does not fit beside what is queued.
   */
  admit(costs: readonly number[]): void {
    const { items, maxItems, unit, maxCost } = this.#limits;
    const total = costs.reduce((sum, cost) => sum + cost, 0);
    const fits = this.#items + costs.length <= maxItems && this.#cost + total <= maxCost;
    if (!fits && this.#items > 0)
      throw new ResourceExhaustedError(
        `the queue is full: ${this.#items} of ${maxItems} ${items} and ${this.#cost} of ${maxCost} ${unit} wait, ` +
          `${costs.length} ${items} of ${total} ${unit} do not fit; retry later`,
      );
    this.#items += costs.length;
    this.#cost += total;
  }

  release(cost: number): void {
    this.#items -= 1;
    this.#cost -= cost;
  }
}
