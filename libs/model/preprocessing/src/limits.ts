export interface DecodeLimits {
  /** Length of the encoded file. */
  readonly maxBytes: number;
  /** Width times height, judged from the file's header before anything is decoded. */
  readonly maxPixels: number;
  /** Width, and height. */
  readonly maxSide: number;
}

/** Far above any photograph that a shop or a search page serves. */
export const MAX_IMAGE_BYTES = 32 * 1024 * 1024;

/** Pillow's `Image.MAX_IMAGE_PIXELS`, where it starts to warn of a decompression bomb: 256 MiB of RGB. */
export const MAX_IMAGE_PIXELS = 89_478_485;

/** JPEG's and GIF's own limit. It bounds what a very narrow image costs between the two passes of the resampler. */
export const MAX_IMAGE_SIDE = 65_535;

export const DEFAULT_LIMITS: DecodeLimits = {
  maxBytes: MAX_IMAGE_BYTES,
  maxPixels: MAX_IMAGE_PIXELS,
  maxSide: MAX_IMAGE_SIDE,
};

/** A model's input resolution; the largest published Chinese-CLIP takes 336. */
export const MAX_RESOLUTION = 1024;
