// The port of index engines as this one meets it, by shape: retrieval declares it, and an artifact imports no stage.

/** A bigint is an integer of 64 bits with sign, a number a float. */
export type AttributeValue = string | bigint | number | boolean;
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** The part of a filter that an engine needs which holds the attributes itself. */
export interface AttributeFilter {
  matches(attributes: Attributes): boolean;
}

export interface IndexSpec {
  readonly name: string;
  /** Numbers per vector. */
  readonly dimension: number;
  /** Of the embedding space (the encoder's model); absent when that is not known. */
  readonly fingerprint?: string | undefined;
}

export interface VectorBatch {
  readonly ids: BigInt64Array;
  /** float32 `[ids, dimension]`, each of length 1. */
  readonly vectors: Float32Array;
  /** One per id; absent: none has any. */
  readonly attributes?: readonly Attributes[] | undefined;
}

export interface VectorSearchOptions {
  readonly topK: number;
  readonly filter?: AttributeFilter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The answer to one query. */
export interface SearchHits {
  /** Best first; of equal scores the item that was written first. */
  readonly ids: BigInt64Array;
  /** Cosine of each, -1 to 1. */
  readonly scores: Float32Array;
}
