export { OPERATIONS as AUGMENTATION_OPERATIONS, type Operation } from './augment/operations.ts';
export { ORIGINAL_POLICY } from './augment/policy.ts';
export { type DecodedImage, decodeImage } from './decode-image.ts';
export {
  IMAGE_FORMATS,
  type ImageFormat,
  type ImageHeader,
  type ImageMode,
  readImageHeader,
} from './image-header.ts';
export {
  DEFAULT_LIMITS,
  type DecodeLimits,
  MAX_DECODE_BYTES,
  MAX_IMAGE_BYTES,
  MAX_IMAGE_PIXELS,
  MAX_IMAGE_SIDE,
  MAX_RESOLUTION,
} from './limits.ts';
export { CLIP_MEAN, CLIP_STD, normalize } from './normalize.ts';
export { AUGMENTATIONS, type Augmentation, type PreprocessOptions, preprocess } from './preprocess.ts';
export {
  createPreprocessor,
  DEFAULT_MAX_QUEUED,
  type Preprocessor,
  type PreprocessorOptions,
  type RunOptions,
} from './preprocessor.ts';
export type { Box } from './resample/bicubic.ts';
export { type RgbImage, resizeRgb } from './resize.ts';
