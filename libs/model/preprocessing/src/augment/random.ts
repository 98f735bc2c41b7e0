import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { mersenne } from 'pure-rand/generator/mersenne';

/** The draws that augmentation needs, reproducible from a seed. */
export interface Random {
  /** True with this probability. */
  chance(probability: number): boolean;
  /** In [low, high). */
  uniform(low: number, high: number): number;
  /** Whole, in [low, high]. */
  integer(low: number, high: number): number;
}

/** @param seed any integer; only its low 32 bits count. */
export function createRandom(seed: number): Random {
  // The Mersenne Twister's seeding mixes well: neighbouring seeds (an image's place in the data) share nothing.
  const generator = mersenne(seed);
  const uniform = (low: number, high: number): number => low + (high - low) * uniformFloat64(generator);
  return {
    uniform,
    chance: (probability) => uniform(0, 1) < probability,
    integer: (low, high) => uniformInt(generator, low, high),
  };
}
