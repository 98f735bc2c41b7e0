import { EventLoopTurns } from '../event-loop-turns.ts';
import { MAX_QUERIES_PER_PASS } from '../limits.ts';
import { dotProducts, type ScoreBlock } from './dot-products.ts';
import { normalizeInto } from './normalize.ts';
import { type BestRows, TopK } from './top-k.ts';
import type { RowBlock, VectorTable } from './vector-table.ts';

/** Normalised queries, laid out as {@link dotProducts} wants them. */
export interface PackedQueries {
  readonly count: number;
  /** float32 `[count, stride]`. */
  readonly values: Float32Array;
}

/** @throws InvalidInputError naming `queries[i]` when one has another dimension or no direction. */
export function packQueries(
  table: VectorTable,
  queries: readonly Float32Array[],
  place = (index: number): string => `queries[${index}]`,
): PackedQueries {
  const values = new Float32Array(queries.length * table.stride);
  for (const [index, query] of queries.entries())
    normalizeInto(values, index * table.stride, query, place(index), table.dimension);
  return { count: queries.length, values };
}

/**
 * Cosines of up to MAX_QUERIES_PER_PASS queries with every row, block by block in the order of rows. The table must not
 * change meanwhile, though the event loop gets its turns.
 *
 * @param visit receives each block; the scores are overwritten after it returns.
 * @param turns of the whole computation that this is a part of.
 * @throws the reason of the turns' signal when it aborts.
 */
export async function scoreTable(
  table: VectorTable,
  { values }: PackedQueries,
  visit: (block: RowBlock, scores: ScoreBlock) => void,
  turns = new EventLoopTurns(),
): Promise<void> {
  for (const block of table.blocks()) {
    if (turns.due) await turns.take();
    visit(block, dotProducts(block.rows, values, table.stride));
  }
}

/** The best rows of each query, which may be at most MAX_QUERIES_PER_PASS. */
export async function bestRows(
  table: VectorTable,
  queries: PackedQueries,
  topK: number,
  options: {
    readonly isLive?: ((row: number) => boolean) | undefined;
    readonly turns?: EventLoopTurns | undefined;
  } = {},
): Promise<BestRows[]> {
  const best = Array.from({ length: queries.count }, () => new TopK(topK));
  await scoreTable(
    table,
    queries,
    ({ firstRow, count }, { scores, stride }) => {
      for (const [query, top] of best.entries())
        top.offer(scores, query * stride, count, firstRow, options.isLive);
    },
    options.turns,
  );
  return best.map((top) => top.take());
}

/** Slices of a list as long as one pass takes. */
export function* passes<T>(items: readonly T[]): Generator<readonly T[], void, void> {
  for (let start = 0; start < items.length; start += MAX_QUERIES_PER_PASS)
    yield items.slice(start, start + MAX_QUERIES_PER_PASS);
}
