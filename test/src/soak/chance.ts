import { seededRandom } from './random.ts';

/** Random choices of one case: the same for a seed and a case's number. */
export class Chance {
  readonly #random: () => number;

  constructor(seed: number, number: number) {
    // Far apart for neighbours: the generator is seeded by one number.
    this.#random = seededRandom((Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) >>> 0);
  }

  /** Below `limit`, from 0. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  happens(share: number): boolean {
    return this.#random() < share;
  }

  one<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}
