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

/**
 * Bytes for a pixel that decoding takes at most, as measured (3.5 and 9.3): of an image that is decoded row by row, and of
 * one that is held whole beside its pixels (progressive JPEG, PNG with alpha, 16 bits or interlaced, WebP, GIF).
 */
export const DECODE_COST = { rows: 4, whole: 10 } as const;

/**
 * Memory that decoding one image may take, whatever its file claims: several are decoded at once. 50 million pixels of a plain
 * JPEG, 20 million of the kinds that are held whole.
 */
export const MAX_DECODE_BYTES = 192 * 1024 * 1024;

/** Of a plain JPEG or PNG, the cheapest kinds; other kinds take more memory for a pixel, so fewer of them are decoded. */
export const MAX_IMAGE_PIXELS = MAX_DECODE_BYTES / DECODE_COST.rows;

/** JPEG's and GIF's own limit. It bounds what a very narrow image costs between the two passes of the resampler. */
export const MAX_IMAGE_SIDE = 65_535;

export const DEFAULT_LIMITS: DecodeLimits = {
  maxBytes: MAX_IMAGE_BYTES,
  maxPixels: MAX_IMAGE_PIXELS,
  maxSide: MAX_IMAGE_SIDE,
};

/** A model's input resolution; the largest published Chinese-CLIP takes 336. */
export const MAX_RESOLUTION = 1024;
