import type { Attributes } from '@online-cnclip/retrieval';
import { Chance } from '../../soak/chance.ts';
import { unitVectors } from '../vectors.ts';

export const DIMENSION = 64;

/** Few enough that most changes replace something, so that a file is compacted every dozen changes. */
const IDS = 1_500;
const MAX_ITEMS = 128;

/** Every change writes this item, too: its attribute says which change was the last. */
export const MARKER = -1n;

/** Change number n of an index, the same in every process. */
export interface Change {
  readonly ids: BigInt64Array<ArrayBuffer>;
  readonly vectors: Float32Array;
  readonly attributes: readonly Attributes[];
}

/** The marker first, then distinct random ids. */
export function changeOf(seed: number, number: number): Change {
  const chance = new Chance(seed, number);
  const ids = new Set<bigint>([MARKER]);
  for (let left = chance.below(MAX_ITEMS); left > 0; left--) ids.add(BigInt(chance.below(IDS)));
  return {
    ids: BigInt64Array.from(ids),
    vectors: unitVectors(ids.size, DIMENSION, number + 1),
    attributes: Array.from(ids, () => ({ change: BigInt(number) })),
  };
}

/** An item as it should be. */
export interface ExpectedItem {
  /** Number of the change that wrote it last. */
  readonly change: number;
  readonly vector: Float32Array;
}

/** What an index holds after all changes up to one. */
export class ExpectedItems {
  readonly #seed: number;
  readonly #items = new Map<bigint, ExpectedItem>();
  #next = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get items(): ReadonlyMap<bigint, ExpectedItem> {
    return this.#items;
  }

  /** Applies the changes before number `end`. */
  advanceTo(end: number): void {
    for (; this.#next < end; this.#next++) {
      const { ids, vectors } = changeOf(this.#seed, this.#next);
      for (const [i, id] of ids.entries())
        this.#items.set(id, {
          change: this.#next,
          vector: vectors.subarray(i * DIMENSION, (i + 1) * DIMENSION),
        });
    }
  }
}
