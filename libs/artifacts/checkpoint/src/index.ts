export * from './checkpoint.ts';
export {
  type Conversion,
  type ConvertOptions,
  convertCheckpoint,
  stripCheckpoint,
  TARGET_FORMATS,
  type TargetFormat,
  writeHuggingFace,
} from './convert-checkpoint.ts';
export { type CheckpointSummary, inspectCheckpoint } from './inspect-checkpoint.ts';
export {
  type LoadedParameters,
  type LoadOptions,
  loadParameters,
  type ModelPart,
} from './load-parameters.ts';
export { hasWeightDecay, isBuffer, optimizerGroups } from './naming/chinese-clip.ts';
export { fromHuggingFace, toHuggingFace } from './naming/huggingface.ts';
export { type AttentionHeads, huggingFaceConfig } from './naming/huggingface-config.ts';
export { resizePositionEmbedding } from './naming/position-embedding.ts';
export { type ReadOptions, readCheckpoint } from './read-checkpoint.ts';
export {
  readSafetensors,
  readSafetensorsMetadata,
  type SafetensorsOptions,
} from './safetensors/safetensors-file.ts';
export { type WriteSafetensorsOptions, writeSafetensors } from './safetensors/write-safetensors.ts';
export { type WriteOptions, writeCheckpoint } from './torch/write-checkpoint.ts';
