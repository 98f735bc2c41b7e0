/** Where the best rows are, best first. */
export interface BestRows {
  readonly rows: readonly number[];
  readonly scores: Float32Array;
}

/**
 * The k best of a stream of scores, in a heap of k entries whose root is the worst. Of equal scores the lower row
 * counts as better, as in Python's stable sort.
 */
export class TopK {
  readonly #k: number;
  readonly #scores: Float32Array;
  readonly #rows: Float64Array;
  #size = 0;

  constructor(k: number) {
    this.#k = k;
    this.#scores = new Float32Array(k);
    this.#rows = new Float64Array(k);
  }

  /**
   * Takes the scores of rows that follow one another. Rows have to come in ascending order.
   *
   * @param start of the scores in the array.
   * @param firstRow that the first of them belongs to.
   * @param isLive whether a row counts; absent: all do.
   */
  offer(
    scores: Float32Array,
    start: number,
    count: number,
    firstRow: number,
    isLive?: (row: number) => boolean,
  ): void {
    let worst = this.#size === this.#k ? (this.#scores[0] as number) : Number.NEGATIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      const score = scores[start + i] as number;
      if (score <= worst && this.#size === this.#k) continue;
      if (isLive !== undefined && !isLive(firstRow + i)) continue;
      if (this.#size < this.#k) this.#push(score, firstRow + i);
      else this.#sink(0, score, firstRow + i, this.#size);
      if (this.#size === this.#k) worst = this.#scores[0] as number;
    }
  }

  /** What was kept, best first. Ends the use of this object. */
  take(): BestRows {
    const size = this.#size;
    // Heap sort: the worst goes to the end, again and again.
    for (let end = size - 1; end > 0; end--) {
      const [score, row] = [this.#scores[end] as number, this.#rows[end] as number];
      this.#scores[end] = this.#scores[0] as number;
      this.#rows[end] = this.#rows[0] as number;
      this.#sink(0, score, row, end);
    }
    return { rows: Array.from(this.#rows.subarray(0, size)), scores: this.#scores.slice(0, size) };
  }

  #push(score: number, row: number): void {
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isWorse(score, row, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, score, row);
  }

  /** Puts an entry at `at` or, while a child is worse, below it. */
  #sink(at: number, score: number, row: number, size: number): void {
    while (true) {
      let child = 2 * at + 1;
      if (child >= size) break;
      const right = child + 1;
      if (right < size && this.#isWorse(this.#scores[right] as number, this.#rows[right] as number, child))
        child = right;
      if (this.#isWorse(score, row, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, score, row);
  }

  #isWorse(score: number, row: number, than: number): boolean {
    const other = this.#scores[than] as number;
    return score < other || (score === other && row > (this.#rows[than] as number));
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#scores[from] as number, this.#rows[from] as number);
  }

  #put(at: number, score: number, row: number): void {
    this.#scores[at] = score;
    this.#rows[at] = row;
  }
}
