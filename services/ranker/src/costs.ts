import type { RankerServiceService } from '@online-cnclip/contracts/ranker/v1';
import { Budget, type BudgetLimits, type Costs, chargeTo } from '@online-cnclip/service-kit';

/** Sixteen queries over a million items, some seconds on two cores; half a minute of them may wait. */
const SEARCHES: BudgetLimits = {
  name: 'searches',
  unit: 'scores',
  maxRunning: 16_000_000,
  maxWaiting: 512_000_000,
};

/** However few items there are, a query is embedded, ranked and answered. */
const MIN_QUERY_SCORES = 8_192;

/**
 * Searches by the scores that they compute. The other calls cost their bytes: of UpsertItems one message at a time.
 *
 * @param itemsOf items of an index; 0 of one that there is not.
 */
export function rankerCosts(itemsOf: (index: string) => number): Costs<typeof RankerServiceService> {
  return {
    search: chargeTo(
      new Budget(SEARCHES),
      ({ index, queries }) => queries.length * Math.max(MIN_QUERY_SCORES, itemsOf(index)),
    ),
  };
}
