import { int64Of, linesOf, parseObject, show } from '@online-cnclip/embedding-index';
import { InvalidInputError } from '@online-cnclip/foundation';

/** Items of one query: best first in predictions, in any order in a reference. */
export interface Ranking {
  readonly queryId: bigint;
  readonly itemIds: readonly bigint[];
  /** Where it stands (`file:line`, `predictions[3]`), for errors. */
  readonly place: string;
}

/** Rankings that are read one by one, so that the first wrong one is the one that is named. */
export interface RankingSource {
  /** The file or field they are in, for errors. */
  readonly place: string;
  readonly rankings: AsyncIterable<Ranking> | Iterable<Ranking>;
}

/** Both forms of a line: the research code's and Chinese-CLIP's. */
const SCHEMAS = [
  { query: 'query_id', items: 'item_ids' },
  { query: 'text_id', items: 'image_ids' },
] as const;

/**
 * The rankings of a .jsonl file, read when they are asked for. Further keys of a line are ignored.
 *
 * @param name of the file in errors, where it is not its path.
 */
export function rankingsOfFile(path: string, name = path): RankingSource {
  async function* rankings(): AsyncGenerator<Ranking, void, void> {
    for await (const { text, place } of linesOf(path, name)) yield parseRanking(text, place);
  }
  return { place: name, rankings: rankings() };
}

/** @throws InvalidInputError naming the line and the value that is wrong. */
function parseRanking(text: string, place: string): Ranking {
  const line = parseObject(text, place);
  const schema = SCHEMAS.find(({ query }) => query in line);
  if (!schema) throw new InvalidInputError('has neither query_id nor text_id', { place });
  const queryId = int64Of(line[schema.query]);
  if (queryId === undefined)
    throw new InvalidInputError(`${schema.query} is ${show(line[schema.query])}, not a whole number`, {
      place,
    });
  const items = line[schema.items];
  if (!Array.isArray(items))
    throw new InvalidInputError(`${schema.items} of query ${queryId} is ${show(items)}, not a list`, {
      place,
    });
  const itemIds = items.map((item, rank) => {
    const id = int64Of(item);
    if (id !== undefined) return id;
    const field = `${schema.items}[${rank}] of query ${queryId}`;
    throw new InvalidInputError(`${field} is ${show(item)}, not a whole number`, { place });
  });
  return { queryId, itemIds, place };
}
