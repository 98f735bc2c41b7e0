import { throwIfAborted } from '@online-cnclip/foundation';
import type { ItemFile } from '../durable/item-file.ts';
import { EventLoopTurns } from '../event-loop-turns.ts';
import { MAX_QUERIES_PER_PASS } from '../limits.ts';
import type { AttributeFilter, SearchHits, VectorSearchOptions } from '../port.ts';
import { dotProducts, rowsPerBlock } from '../scoring/dot-products.ts';
import { Candidates } from './candidates.ts';
import type { CodeProducts } from './code-products.ts';
import type { QuantizedBlock } from './quantized-block.ts';
import { errorOfCodes, quantizeQueries, scoreOfCodes } from './quantized-queries.ts';
import { bestOfRows, dotProduct } from './rank-rows.ts';
import type { RowSnapshot, RowTable } from './row-table.ts';

/** Relative rounding of one float32 addition or product. */
const FLOAT32_EPSILON = 2 ** -23;

/** What is searched: rows in memory, and the file that has their vectors. */
export interface SearchedItems {
  readonly table: RowTable;
  readonly file: ItemFile;
  readonly products: CodeProducts;
}

/**
 * The nearest items of each query, exactly: codes of one byte per number give bounds of every score, and the vectors of the
 * few rows that may be among the best are read and scored in double precision.
 *
 * @param queries float32 `[n, dimension]`, each of length 1.
 */
export async function searchRows(
  items: SearchedItems,
  queries: Float32Array,
  { topK, filter, signal }: VectorSearchOptions,
): Promise<SearchHits[]> {
  throwIfAborted(signal);
  const snapshot = items.table.snapshot();
  const counts = rowCounter(items.table, snapshot, filter);
  const turns = new EventLoopTurns(signal);
  const hits: SearchHits[] = [];
  const passNumbers = MAX_QUERIES_PER_PASS * items.table.dimension;
  for (let start = 0; start < queries.length; start += passNumbers) {
    const pass = new Pass(
      { ...items, snapshot, counts, turns, topK },
      queries.subarray(start, start + passNumbers),
    );
    hits.push(...(await pass.run()));
  }
  return hits;
}

/** Whether a row counts: lives and passes the filter, which is asked once per row that could be a hit. */
function rowCounter(
  table: RowTable,
  { rows, version }: RowSnapshot,
  filter: AttributeFilter | undefined,
): (row: number) => boolean {
  if (!filter) return (row) => table.isLiveAt(row, version);
  const [UNKNOWN, COUNTS, IS_OUT] = [0, 1, 2];
  const verdicts = new Uint8Array(rows);
  return (row) => {
    if (verdicts[row] === UNKNOWN)
      verdicts[row] = table.isLiveAt(row, version) && table.matches(row, filter) ? COUNTS : IS_OUT;
    return verdicts[row] === COUNTS;
  };
}

interface PassOptions extends SearchedItems {
  readonly snapshot: RowSnapshot;
  readonly counts: (row: number) => boolean;
  readonly turns: EventLoopTurns;
  readonly topK: number;
}

/** Up to MAX_QUERIES_PER_PASS queries through all rows. */
class Pass {
  readonly #options: PassOptions;
  /** float32 `[queries, stride]`. */
  readonly #queries: Float32Array;
  readonly #stride: number;
  readonly #candidates: readonly Candidates[];

  constructor(options: PassOptions, queries: Float32Array) {
    const { dimension, stride } = options.table;
    const count = queries.length / dimension;
    this.#options = options;
    this.#stride = stride;
    this.#queries = new Float32Array(count * stride);
    for (let q = 0; q < count; q++)
      this.#queries.set(queries.subarray(q * dimension, (q + 1) * dimension), q * stride);
    this.#candidates = Array.from({ length: count }, () => new Candidates(options.topK));
  }

  async run(): Promise<SearchHits[]> {
    await this.#scanTail();
    await this.#scanBlocks();
    const hits: SearchHits[] = [];
    for (const [q, candidates] of this.#candidates.entries())
      hits.push(await this.#best(q, await this.#refine(q, candidates.rows())));
    return hits;
  }

  async #scanTail(): Promise<void> {
    const { snapshot, counts, turns, table } = this.#options;
    const { firstRow, values } = snapshot.tail;
    const step = rowsPerBlock(this.#stride);
    const error = table.dimension * FLOAT32_EPSILON;
    for (let first = firstRow; first < snapshot.rows; first += step) {
      if (turns.due) await turns.take();
      const count = Math.min(step, snapshot.rows - first);
      const at = (first - firstRow) * this.#stride;
      const products = dotProducts(
        values.subarray(at, at + count * this.#stride),
        this.#queries,
        this.#stride,
      );
      for (const [q, candidates] of this.#candidates.entries())
        for (let i = 0; i < count; i++) {
          const score = products.scores[q * products.stride + i] as number;
          if (score + error >= candidates.threshold && counts(first + i))
            candidates.offer(first + i, score - error, score + error);
        }
    }
  }

  async #scanBlocks(): Promise<void> {
    const { snapshot, turns, products, table } = this.#options;
    const [block] = snapshot.blocks;
    if (!block) return;
    const maxCode = await products.maxQueryCode();
    const scores = new Int32Array(block.count * this.#candidates.length);
    for (const block of snapshot.blocks) {
      if (turns.due) await turns.take();
      const queries = quantizeQueries(this.#queries, this.#stride, block, maxCode);
      await products.multiply(block.codes, queries.codes, table.dimension, scores);
      this.#offerBlock(block, queries, scores);
    }
  }

  /** @param products int32 `[rows, queries]`. */
  #offerBlock(
    { firstRow, count }: QuantizedBlock,
    { factors, zeros, errors }: ReturnType<typeof quantizeQueries>,
    products: Int32Array,
  ): void {
    const { counts } = this.#options;
    const queryCount = this.#candidates.length;
    // In products, so that most rows cost one comparison.
    const thresholdOf = (q: number): number => {
      const { threshold } = this.#candidates[q] as Candidates;
      return (threshold - (errors[q] as number)) / (factors[q] as number) + (zeros[q] as number);
    };
    const thresholds = Float64Array.from(this.#candidates, (_, q) => thresholdOf(q));
    let at = 0;
    for (let row = firstRow; row < firstRow + count; row++)
      for (let q = 0; q < queryCount; q++) {
        const product = products[at++] as number;
        if (product < (thresholds[q] as number) || !counts(row)) continue;
        const score = (factors[q] as number) * (product - (zeros[q] as number));
        const error = errors[q] as number;
        this.#candidates[q]?.offer(row, score - error, score + error);
        thresholds[q] = thresholdOf(q);
      }
  }

  /** Fewer candidates, by the query's own numbers instead of its codes: reading a vector costs more than this. */
  async #refine(q: number, rows: readonly number[]): Promise<readonly number[]> {
    const { snapshot, turns, topK, table } = this.#options;
    const [block] = snapshot.blocks;
    if (!block || rows.length <= topK) return rows;
    const refined = new Candidates(topK);
    const query = this.#queries.subarray(q * this.#stride, q * this.#stride + table.dimension);
    for (const row of rows) {
      if (turns.due) await turns.take();
      const of = snapshot.blocks[Math.floor(row / block.count)];
      if (of) {
        const score = scoreOfCodes(of, row, query);
        refined.offer(row, score - errorOfCodes(of), score + errorOfCodes(of));
      } else {
        const score = dotProduct(query, this.#tailRow(row));
        refined.offer(row, score, score);
      }
    }
    return refined.rows();
  }

  /** The best of the rows, by exact scores. */
  async #best(q: number, rows: readonly number[]): Promise<SearchHits> {
    const { turns, topK, table, file, snapshot } = this.#options;
    const query = this.#queries.subarray(q * this.#stride, q * this.#stride + table.dimension);
    const tailRow = (row: number) => (row < snapshot.tail.firstRow ? undefined : this.#tailRow(row));
    return bestOfRows({ table, file }, query, rows, { topK, turns, rowInMemory: tailRow });
  }

  #tailRow(row: number): Float32Array {
    const { firstRow, values } = this.#options.snapshot.tail;
    const at = (row - firstRow) * this.#stride;
    return values.subarray(at, at + this.#options.table.dimension);
  }
}
