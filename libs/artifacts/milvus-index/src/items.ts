// Shapes that the index port of libs/stages/retrieval asks for: an engine meets it by shape alone.

/** A bigint is an integer of 64 bits with sign, a number a float. */
export type AttributeValue = string | bigint | number | boolean;

/** What is known of an item beside its vector, by name. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

export interface Bound {
  readonly value: bigint | number;
  /** Whether the value itself passes. */
  readonly inclusive: boolean;
}

/** A test of one attribute; an item without it does not pass. */
export type Condition =
  | { readonly kind: 'one-of'; readonly attribute: string; readonly values: readonly AttributeValue[] }
  | {
      readonly kind: 'range';
      readonly attribute: string;
      readonly lower?: Bound | undefined;
      readonly upper?: Bound | undefined;
    };

export interface VectorBatch {
  /** Each once. */
  readonly ids: BigInt64Array;
  /** float32 `[ids, dimension]`, each of length 1. */
  readonly vectors: Float32Array;
  /** One per id; absent: none has any. */
  readonly attributes?: readonly Attributes[] | undefined;
}

export interface VectorSearchOptions {
  readonly topK: number;
  readonly filter?: { readonly conditions: readonly Condition[] } | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SearchHits {
  /** Best first. */
  readonly ids: BigInt64Array;
  /** Cosine of each, -1 to 1. */
  readonly scores: Float32Array;
}

export interface IndexSpec {
  readonly name: string;
  readonly dimension: number;
  readonly fingerprint?: string | undefined;
}
