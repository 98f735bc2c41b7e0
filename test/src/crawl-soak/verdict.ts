import type { SoakReport } from './soak.ts';

/** What fails beyond that is no bad luck: each fault comes once, and a query has four tries. */
const MIN_DONE_SHARE = 0.98;

/** The shop has no picture of some words' emoji. */
const MIN_OK_SHARE = 0.85;

/** What must not be, by its name; empty when all is well. */
export function verdict(report: SoakReport): string[] {
  const { queries, answered, wrongImages, rateBreaches, challengeInputs, lost, doneTwice, lostLogIns } =
    report;
  const mustBeNone = { wrongImages, rateBreaches, challengeInputs, lost, doneTwice, lostLogIns };
  const { OK: ok = 0, NO_RESULTS: none = 0 } = report.outcomes;
  return [
    ...(answered === queries ? [] : [`${queries - answered} queries without an answer`]),
    ...(ok >= MIN_OK_SHARE * queries && ok + none >= MIN_DONE_SHARE * queries
      ? []
      : [`only ${ok} of ${queries} queries are OK, ${none} without results`]),
    ...Object.entries(mustBeNone).flatMap(([name, count]) => (count === 0 ? [] : [`${name}: ${count}`])),
  ];
}
