import { availableParallelism } from 'node:os';
import { InvalidInputError } from '@online-cnclip/foundation';

/** How a graph keeps its vectors. What it finds is scored again with the whole vectors, so that only the choice is rounded. */
export const GRAPH_PRECISIONS = ['float32', 'float16', 'int8'] as const;
export type GraphPrecision = (typeof GRAPH_PRECISIONS)[number];

/** What a graph is made of; a file can only be opened with those that it was made with. */
export interface GraphShape {
  /** Numbers per vector. */
  readonly dimension: number;
  readonly precision: GraphPrecision;
  /** Neighbours per vector and level (M of the HNSW paper). */
  readonly connectivity: number;
  /** Candidates looked at to place a vector (efConstruction). */
  readonly expansionAdd: number;
}

export interface GraphOptions extends GraphShape {
  /** Candidates looked at to answer a query (ef). */
  readonly expansionSearch: number;
  /** Cores of one call; more than there are is refused. */
  readonly threads: number;
}

/** Recall@10 of 0.9 on data that is hard for a graph, and next to 1 on data that is not: docs/indexes.md has the figures. */
export const DEFAULT_GRAPH_OPTIONS = {
  precision: 'float16',
  connectivity: 16,
  expansionAdd: 128,
  expansionSearch: 256,
  threads: availableParallelism(),
} as const satisfies Partial<GraphOptions>;

/** Several times what the published tables go up to: a slip of the keyboard is noticed before memory runs out. */
const MAX_CONNECTIVITY = 256;
const MAX_EXPANSION = 65_536;
const MAX_DIMENSION = 16_384;

const MAXIMA = {
  dimension: MAX_DIMENSION,
  connectivity: MAX_CONNECTIVITY,
  expansionAdd: MAX_EXPANSION,
  expansionSearch: MAX_EXPANSION,
  threads: availableParallelism(),
} as const;

/** The options and nothing else. @throws InvalidInputError naming the one that is out of range. */
export function requireGraphOptions(options: GraphOptions): GraphOptions {
  for (const [name, maximum] of Object.entries(MAXIMA)) {
    const value = options[name as keyof typeof MAXIMA];
    if (!Number.isInteger(value) || value < 1 || value > maximum)
      throw new InvalidInputError(`${value} is not a whole number from 1 to ${maximum}`, { place: name });
  }
  const { dimension, precision, connectivity, expansionAdd, expansionSearch, threads } = options;
  if (!GRAPH_PRECISIONS.includes(precision))
    throw new InvalidInputError(`${precision} is none of ${GRAPH_PRECISIONS.join(', ')}`, {
      place: 'precision',
    });
  return { dimension, precision, connectivity, expansionAdd, expansionSearch, threads };
}
