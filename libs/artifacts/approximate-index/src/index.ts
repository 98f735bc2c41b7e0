export {
  ApproximateEngine,
  type ApproximateEngineOptions,
  DEFAULT_APPROXIMATE_OPTIONS,
} from './approximate-engine.ts';
export { ApproximateIndex } from './approximate-index.ts';
export * from './graph/graph-options.ts';
export { NeighborGraph, RESERVED_ID } from './graph/neighbor-graph.ts';
export type { Neighbors } from './graph/search-batch.ts';
export type { PlainEngine, SourceIndex } from './source.ts';
