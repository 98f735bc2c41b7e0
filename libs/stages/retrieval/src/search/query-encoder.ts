/** What became of one item of a batch. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: Error };

/** Embeddings of a batch. */
export interface Encoded {
  /** Of the model that computed all of them. */
  readonly fingerprint: string;
  /** One per item, in the batch's order. */
  readonly vectors: readonly Outcome<Float32Array>[];
}

export interface EncodeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly deadline?: Date | undefined;
  /** Name of the request that this is done for, in the logs of every service. */
  readonly requestId?: string | undefined;
}

/** The model that embeds queries and images: a port, since encoding is another stage. */
export interface QueryEncoder {
  /** @throws FailedPreconditionError while no model is loaded, UnavailableError when it cannot be reached. */
  describeModel(
    options?: EncodeOptions,
  ): Promise<{ readonly dimension: number; readonly fingerprint: string }>;
  encodeTexts(texts: readonly string[], options?: EncodeOptions): Promise<Encoded>;
  /** @param images whole image files. */
  encodeImages(images: readonly Uint8Array[], options?: EncodeOptions): Promise<Encoded>;
}
