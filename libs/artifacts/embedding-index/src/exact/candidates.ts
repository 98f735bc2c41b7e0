/** Candidates between two looks for those that are none any more. */
const MIN_PRUNE_SIZE = 4_096;

/**
 * Rows of which one may be among the k best, while only bounds of their scores are known. A row whose upper bound is below k
 * rows' lower bounds is none of the best.
 */
export class Candidates {
  readonly #k: number;
  /** The k greatest lower bounds, a heap whose root is the least. */
  readonly #lowers: Float64Array;
  #lowerCount = 0;
  #rows: number[] = [];
  #uppers: number[] = [];
  #pruneSize = MIN_PRUNE_SIZE;

  constructor(k: number) {
    this.#k = k;
    this.#lowers = new Float64Array(k);
  }

  /** What an upper bound has to reach; grows with every offer. */
  get threshold(): number {
    return this.#lowerCount < this.#k ? Number.NEGATIVE_INFINITY : (this.#lowers[0] as number);
  }

  /** A row that counts, and the bounds of its score. */
  offer(row: number, lower: number, upper: number): void {
    if (upper < this.threshold) return;
    this.#rows.push(row);
    this.#uppers.push(upper);
    if (this.#lowerCount < this.#k) this.#push(lower);
    else if (lower > (this.#lowers[0] as number)) this.#sink(lower);
    if (this.#rows.length > this.#pruneSize) this.#prune();
  }

  /** The rows that may be among the best, in the order they came. */
  rows(): readonly number[] {
    this.#prune();
    return this.#rows;
  }

  #prune(): void {
    const { threshold } = this;
    const keep = this.#uppers.map((upper) => upper >= threshold);
    this.#rows = this.#rows.filter((_, i) => keep[i]);
    this.#uppers = this.#uppers.filter((_, i) => keep[i]);
    this.#pruneSize = Math.max(MIN_PRUNE_SIZE, this.#rows.length * 2);
  }

  #push(lower: number): void {
    let at = this.#lowerCount++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.#lowers[parent] as number) <= lower) break;
      this.#lowers[at] = this.#lowers[parent] as number;
      at = parent;
    }
    this.#lowers[at] = lower;
  }

  /** Puts a bound in the place of the least. */
  #sink(lower: number): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#k) break;
      if (child + 1 < this.#k && (this.#lowers[child + 1] as number) < (this.#lowers[child] as number))
        child++;
      if ((this.#lowers[child] as number) >= lower) break;
      this.#lowers[at] = this.#lowers[child] as number;
      at = child;
    }
    this.#lowers[at] = lower;
  }
}
