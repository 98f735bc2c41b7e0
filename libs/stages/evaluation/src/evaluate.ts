import { InvalidInputError } from '@online-cnclip/foundation';
import { type Ranking, type RankingSource, rankingsOfFile } from './rankings.ts';
import { PREDICTED_ITEMS, type Recall, rankOfFirst, recallOfRanks } from './recall.ts';
import { writeFailureFile, writeScoreFile } from './score-file.ts';

/** Queries named in the error about missing predictions. */
const MAX_NAMED_QUERIES = 5;

export interface EvaluateOptions {
  /** Takes fewer than ten items of a query: there are no more in a small gallery. Never in files. */
  readonly allowFewer?: boolean;
}

/**
 * Recall of predictions against the right items, with the checks of Chinese-CLIP's evaluation.py and two more: an unknown
 * query and a query that is there twice are mistakes too, not passed over.
 *
 * @throws InvalidInputError naming the first ranking that is wrong (not exactly ten items, an item or a query twice, a
 *   query that the reference does not know), or the queries without prediction.
 */
export async function evaluate(
  reference: RankingSource,
  predictions: RankingSource,
  { allowFewer = false }: EvaluateOptions = {},
): Promise<Recall> {
  const relevant = await byQuery(reference);
  if (relevant.size === 0) throw new InvalidInputError('holds no query', { place: reference.place });
  const predicted = new Map<bigint, Ranking>();
  for await (const prediction of predictions.rankings) {
    addOnce(predicted, prediction);
    requirePrediction(prediction, relevant, allowFewer);
  }
  const missing = [...relevant.keys()].filter((queryId) => !predicted.has(queryId));
  if (missing.length > 0) throw missingQueries(missing, predictions.place);
  const ranks = Array.from(relevant.values(), ({ queryId, itemIds }) =>
    rankOfFirst(predicted.get(queryId)?.itemIds ?? [], itemIds),
  );
  return recallOfRanks(ranks);
}

export interface EvaluationFiles {
  /** Right items: `{"text_id", "image_ids"}` or `{"query_id", "item_ids"}` per line. */
  readonly reference: string;
  /** Ten best items per query, in either form. */
  readonly predictions: string;
  /** Where evaluation.py's JSON goes, scores or error; absent: nowhere. */
  readonly output?: string | undefined;
}

/** {@link evaluate} of files. @throws as it does, with `file:line`; NotFoundError for a missing file. */
export async function evaluateFiles({ reference, predictions, output }: EvaluationFiles): Promise<Recall> {
  try {
    const recall = await evaluate(rankingsOfFile(reference), rankingsOfFile(predictions));
    if (output !== undefined) await writeScoreFile(output, recall);
    return recall;
  } catch (error) {
    if (output !== undefined) await writeFailureFile(output, error);
    throw error;
  }
}

async function byQuery({ rankings }: RankingSource): Promise<Map<bigint, Ranking>> {
  const all = new Map<bigint, Ranking>();
  for await (const ranking of rankings) addOnce(all, ranking);
  return all;
}

function addOnce(all: Map<bigint, Ranking>, ranking: Ranking): void {
  const { queryId, place } = ranking;
  const before = all.get(queryId);
  if (before) throw new InvalidInputError(`query ${queryId} is there already (${before.place})`, { place });
  all.set(queryId, ranking);
}

function requirePrediction(
  { queryId, itemIds, place }: Ranking,
  relevant: ReadonlyMap<bigint, Ranking>,
  allowFewer: boolean,
): void {
  const refuse = (reason: string) => new InvalidInputError(`query ${queryId} ${reason}`, { place });
  if (!relevant.has(queryId)) throw refuse('is not in the reference');
  if (itemIds.length > PREDICTED_ITEMS || (itemIds.length < PREDICTED_ITEMS && !allowFewer))
    throw refuse(`has ${itemIds.length} predicted items, ${PREDICTED_ITEMS} are needed`);
  const twice = itemIds.find((id, rank) => itemIds.indexOf(id) !== rank);
  if (twice !== undefined) throw refuse(`has item ${twice} twice`);
}

function missingQueries(missing: readonly bigint[], place: string): InvalidInputError {
  const named = missing.slice(0, MAX_NAMED_QUERIES).join(', ');
  const more = missing.length > MAX_NAMED_QUERIES ? ` and ${missing.length - MAX_NAMED_QUERIES} more` : '';
  return new InvalidInputError(`no prediction for query ${named}${more}`, { place });
}
