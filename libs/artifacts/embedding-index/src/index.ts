export { EventLoopTurns } from './event-loop-turns.ts';
export { ExactEngine, type ExactEngineOptions } from './exact/exact-engine.ts';
export type { ExactIndex } from './exact/exact-index.ts';
export {
  type Feature,
  type FeatureIdKey,
  readFeatureIds,
  readFeatures,
  writeFeatures,
} from './files/feature-file.ts';
export { int64Of, type Line, linesOf, parseObject, show } from './files/json-lines.ts';
export { type NpyReader, openNpy, readNpy } from './files/npy-reader.ts';
export { writeNpy, writeNpyRows } from './files/npy-writer.ts';
export * from './limits.ts';
export type * from './port.ts';
export { normalize } from './scoring/normalize.ts';
export { bestRows, type PackedQueries, packQueries, passes, scoreTable } from './scoring/score-table.ts';
export { type BestRows, TopK } from './scoring/top-k.ts';
export { VectorTable } from './scoring/vector-table.ts';
