import type { DecodeImage, PairSource } from '../pair-loader.ts';
import { epochOrder } from '../sampler.ts';

/** A pair of the offline training set, to be trained on once more. */
export interface ReplayedPair {
  readonly text: string;
  readonly file: Uint8Array;
  /** `[3, resolution, resolution]`, normalised. */
  readonly pixels: Float32Array;
}

/**
 * Pairs of a data set, one after the other in a shuffled order, round and round. What has been handed out is a number:
 * the same seed and position give the same pairs.
 */
export class Replay {
  readonly #source: PairSource;
  readonly #decode: DecodeImage;
  readonly #seed: number;
  #round = -1;
  #order: Uint32Array = new Uint32Array(0);

  constructor(source: PairSource, decode: DecodeImage, seed: number) {
    this.#source = source;
    this.#decode = decode;
    this.#seed = seed;
  }

  /** Pairs `first` to before `first + count` of the endless order. */
  async take(first: number, count: number): Promise<ReplayedPair[]> {
    const pairs = Array.from({ length: count }, (_, i) => this.#source.pair(this.#indexAt(first + i)));
    return Promise.all(
      pairs.map(async ({ imageId, text }) => {
        const file = this.#source.image(imageId);
        return { text, file, pixels: await this.#decode(file, this.#seed) };
      }),
    );
  }

  #indexAt(position: number): number {
    const { pairs } = this.#source;
    const round = Math.floor(position / pairs);
    if (round !== this.#round) {
      this.#round = round;
      this.#order = epochOrder(pairs, 1, this.#seed, round);
    }
    return this.#order[position % pairs] as number;
  }
}
