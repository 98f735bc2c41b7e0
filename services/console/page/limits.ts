// What the page refuses before it asks, and the server whoever asks.

/** An image to search with: the encoder's own default limit of one image. */
export const MAX_IMAGE_BYTES = 8 * 1024 * 1024;

/** A text to search with, in UTF-16 code units; the model cuts it far earlier. */
export const MAX_TEXT_LENGTH = 2_000;

/** Hits of one search: what a grid can show without paging. */
export const MAX_TOP_K = 200;
