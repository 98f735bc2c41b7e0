export type { BatchRecord } from './batch-queue.ts';
export {
  type EncodedFile,
  type EncodeProgress,
  type Encoder,
  type EncodeSplitOptions,
  encodeSplit,
  FEATURE_KINDS,
  type FeatureKind,
} from './encode-split.ts';
export {
  EncoderModel,
  type EncoderModelParts,
  type ModelDescription,
  type TextTokenizer,
} from './encoder-model.ts';
export { type FeatureFileOptions, type FeatureSource, writeFeatureFile } from './feature-file.ts';
export { type ImageDecoder, ImageTower, type ImageTowerOptions } from './image-tower.ts';
export { MAX_CONTEXT_LENGTH, MAX_TEXT_LENGTH, MIN_CONTEXT_LENGTH } from './limits.ts';
export { type LoadEncoderModelOptions, loadEncoderModel } from './load-encoder-model.ts';
export {
  type LoadedModel,
  ModelHost,
  type ModelHostOptions,
  type ModelRequest,
  type ResolvedModelRequest,
} from './model-host.ts';
export { ModelSlot } from './model-slot.ts';
export type { Outcome } from './outcome.ts';
export { TextTower } from './text-tower.ts';
export type { BatchObserver, TowerBatch, TowerName, TowerObservers } from './tower.ts';
