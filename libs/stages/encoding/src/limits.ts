/** Every limit of the stage with its reason. "Base" below is ViT-B-16 with RoBERTa-base on two cores. */

/**
 * Two of the largest requests: 1,024 texts of 512 tokens. What waits in a service is bounded by the service's budget, long
 * before it comes here.
 */
export const MAX_QUEUED_TOKENS = 1_048_576;

/** Queries can be two tokens long; this bounds the bookkeeping, the tokens above bound the work. */
export const MAX_QUEUED_TEXTS = 8_192;

/** Two of the largest requests that the contract allows. At 8.6 images a second the deadlines of callers end the wait. */
export const MAX_QUEUED_IMAGES = 2_048;

/** Image files that wait in memory: several of the largest messages that gRPC lets in. */
export const MAX_QUEUED_IMAGE_BYTES = 256 * 1024 * 1024;

/** Texts in one run; the tokens below are reached before, except by very short texts. */
export const MAX_BATCH_TEXTS = 64;

/**
 * Tokens in one run, padding included. The cost of a token stops falling at about 150; a larger run only makes
 * newcomers wait, 0.3 s for one of this size.
 */
export const MAX_BATCH_TOKENS = 512;

/** Oldest texts that a batch is picked from: bounds how many later texts of a fitting length may overtake one. */
export const TEXT_WINDOW = 256;

/**
 * What starting a run costs, in tokens of work: the weights are read from memory once a run, however few tokens there
 * are (base: 20 ms for one text of 9 tokens, 0.6 ms for each token of a large run). Texts whose padding costs less than
 * this share a run.
 */
export const RUN_OVERHEAD_TOKENS = 16;

/**
 * Patches in one run of the image tower: four images of ViT-B-16 (197 each). Small batches keep the activations in
 * the cache: 8.6 images a second at 1, 8.7 at 4, 7.8 at 16.
 */
export const MAX_BATCH_PATCHES = 800;

/** Images in one run, for towers so small that the patches would allow hundreds. */
export const MAX_BATCH_IMAGES = 32;

/** Images decoded or being decoded ahead of computing: 600 kB each at 224 x 224, so memory hardly notices. */
export const MIN_DECODED_AHEAD = 16;

/** A query is a few words; a pasted page would only cost tokenizing time, since the tower sees its first tokens. */
export const MAX_TEXT_LENGTH = 4_096;

/** Characters that are tokenized before other work of the event loop gets its turn: a few milliseconds. */
export const TOKENIZE_SLICE = 16_384;

/** [CLS], one token, [SEP]. */
export const MIN_CONTEXT_LENGTH = 3;

/** BERT's position embeddings end here in every preset. */
export const MAX_CONTEXT_LENGTH = 512;
