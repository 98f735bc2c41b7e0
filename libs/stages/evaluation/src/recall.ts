import { InvalidInputError } from '@online-cnclip/foundation';

/** Recall of a ranking, text to image, in percent (0 to 100). */
export interface Recall {
  /** Share of queries that have a right item at rank 1. */
  readonly recallAt1: number;
  readonly recallAt5: number;
  readonly recallAt10: number;
  /** Mean of the three. */
  readonly meanRecall: number;
  readonly queries: number;
  /** Items that were ranked; 0 where it is not known (rankings read from a file). */
  readonly gallery: number;
}

/** Ranks that count at all: a prediction has so many items. */
export const PREDICTED_ITEMS = 10;

/**
 * @param ranks of the best right item of each query, from 0; undefined where there is none among the items ranked.
 * @throws InvalidInputError when there is no query.
 */
export function recallOfRanks(ranks: readonly (number | undefined)[], gallery = 0): Recall {
  if (ranks.length === 0) throw new InvalidInputError('there is no query to score');
  const [recallAt1, recallAt5, recallAt10] = [recallAtK(ranks, 1), recallAtK(ranks, 5), recallAtK(ranks, 10)];
  return {
    recallAt1,
    recallAt5,
    recallAt10,
    meanRecall: (recallAt1 + recallAt5 + recallAt10) / 3,
    queries: ranks.length,
    gallery,
  };
}

/** Share of queries, in percent, whose best right item is among the first k. */
export function recallAtK(ranks: readonly (number | undefined)[], k: number): number {
  const hits = ranks.filter((rank) => rank !== undefined && rank < k).length;
  return (100 * hits) / ranks.length;
}

/** Where the best right item of a ranking stands, from 0; undefined when there is none. */
export function rankOfFirst<Id>(ranking: readonly Id[], relevant: Iterable<Id>): number | undefined {
  const right = new Set(relevant);
  const rank = ranking.findIndex((id) => right.has(id));
  return rank < 0 ? undefined : rank;
}
