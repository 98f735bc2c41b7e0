export { type BuildDatasetOptions, type BuiltSplit, buildDataset } from './build-dataset.ts';
export type { BuildProgress } from './build-split.ts';
export {
  type CheckDatasetOptions,
  type CheckProgress,
  checkDataset,
  type DatasetProblem,
  type SplitReport,
} from './check-dataset.ts';
export { type Dataset, openDataset } from './dataset.ts';
export type { Id } from './ids.ts';
export { type ImageRow, type NewImage, readImagesTsv, writeImagesTsv } from './images-tsv.ts';
export type { Pair } from './pickled-pair.ts';
export { type SplitPaths, splitPaths } from './split-layout.ts';
export {
  type NewText,
  type ReadTextsOptions,
  readTextsJsonl,
  type TextRow,
  writeTextsJsonl,
} from './texts-jsonl.ts';
