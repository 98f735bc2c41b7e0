// What an index of vectors takes and gives, whatever engine holds it: engines are artifacts, their port is a stage's, and
// neither imports the other.

/** A bigint is an integer of 64 bits with sign, a number a float. */
export type AttributeValue = string | bigint | number | boolean;

/** What is known of an item beside its vector, by name. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A test of one attribute. An item without the attribute does not pass. */
export type Condition =
  /** Equal to one of the values. 1 and 1.0 are equal; no value equals one of another kind. */
  | { readonly kind: 'one-of'; readonly attribute: string; readonly values: readonly AttributeValue[] }
  /** A number between bounds, of which at least one is given; a text or truth value does not pass. */
  | {
      readonly kind: 'range';
      readonly attribute: string;
      readonly lower?: Bound | undefined;
      readonly upper?: Bound | undefined;
    };

export interface Bound {
  readonly value: bigint | number;
  /** Whether the value itself passes. */
  readonly inclusive: boolean;
}

/** What an index is made with, for good. */
export interface IndexSpec {
  readonly name: string;
  /** Numbers per vector. */
  readonly dimension: number;
  /** Of the embedding space (the encoder's model); absent when that is not known. */
  readonly fingerprint?: string | undefined;
}

/** Items of one upsert. */
export interface VectorBatch {
  /** Each once. */
  readonly ids: BigInt64Array;
  /** float32 `[ids, dimension]`, each of length 1. The engine may not keep it. */
  readonly vectors: Float32Array;
  /** One per id; absent: none has any. */
  readonly attributes?: readonly Attributes[] | undefined;
}

export interface VectorSearchOptions<Filter> {
  /** Items wanted per query. */
  readonly topK: number;
  /** Only items that it matches count; absent: all do. */
  readonly filter?: Filter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The answer to one query. */
export interface SearchHits {
  /** Best first. */
  readonly ids: BigInt64Array;
  /** Cosine of each, -1 to 1. */
  readonly scores: Float32Array;
}
