export {
  accumulatedName,
  type FeatureLossOptions,
  featureLossProgram,
  featuresProgram,
  type MicroBatchOptions,
  microBatchGradientProgram,
} from './cached-gradient-programs.ts';
export * from './config.ts';
export {
  encodeImage,
  imageEncoderProgram,
  liveImageEncoderProgram,
  liveTextEncoderProgram,
  normalizeRows,
  textEncoderProgram,
} from './encoder-programs.ts';
export {
  GIVEN_FEATURES,
  type GradientProgramOptions,
  gradientName,
  gradientProgram,
  LOSS_SCALE,
  trainableNames,
  updateName,
} from './gradient-program.ts';
export { COMPUTE_PRECISIONS, type ComputePrecision, isHalfWeight } from './half-weights.ts';
export { contrastiveLoss, diagonalAccuracy, type LossKind } from './loss.ts';
export {
  adamWProgram,
  lambApplyProgram,
  lambUpdateProgram,
  type Moments,
  type OptimizerKind,
  squareSumProgram,
} from './optimizer-programs.ts';
export { type DropoutSpecs, dropoutSpecs, type ReplicaOptions } from './pair-features.ts';
export { NO_PAIR, type PairMask, pairKeysSpec, pairMask } from './pair-mask.ts';
export { bufferNames, initializeParameters, parameterSpecs } from './parameters.ts';
export { resolveModelConfig, TEXT_PRESETS, VISION_PRESETS } from './presets.ts';
export { WORD_EMBEDDINGS, WORD_ROWS } from './word-rows.ts';
