export * from './graph/graph-options.ts';
export { NeighborGraph, RESERVED_ID } from './graph/neighbor-graph.ts';
export type { Neighbors } from './graph/search-batch.ts';
