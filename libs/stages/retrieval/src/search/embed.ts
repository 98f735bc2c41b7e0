import { AbortedError, ApplicationError, InvalidInputError } from '@online-cnclip/foundation';
import type { Encoded, EncodeOptions, Outcome, QueryEncoder } from './query-encoder.ts';

/** What can be searched for or indexed. */
export type Content =
  | { readonly kind: 'text'; readonly text: string }
  /** A whole image file. */
  | { readonly kind: 'image'; readonly image: Uint8Array }
  | { readonly kind: 'vector'; readonly vector: Float32Array }
  /** Came without content, or with one that cannot be read. */
  | { readonly kind: 'unusable'; readonly error: Error };

export interface EmbeddedContents {
  /** One per content, in order. */
  readonly vectors: readonly Outcome<Float32Array>[];
  /** Of the model that embedded texts and images; undefined when there were only vectors. */
  readonly fingerprint: string | undefined;
}

/**
 * The vector of each content; texts and images go to the encoder in one batch each.
 *
 * @throws what the encoder throws for a whole batch; AbortedError when its model was swapped between texts and images.
 */
export async function embedContents(
  contents: readonly Content[],
  encoder: QueryEncoder,
  options: EncodeOptions = {},
): Promise<EmbeddedContents> {
  const vectors = contents.map(ownVector);
  const texts = select(contents, (content) => (content.kind === 'text' ? content.text : undefined));
  const images = select(contents, (content) => (content.kind === 'image' ? content.image : undefined));
  const [encodedTexts, encodedImages] = await Promise.all([
    texts.inputs.length > 0 ? encoder.encodeTexts(texts.inputs, options) : undefined,
    images.inputs.length > 0 ? encoder.encodeImages(images.inputs, options) : undefined,
  ]);
  fill(vectors, texts.positions, encodedTexts);
  fill(vectors, images.positions, encodedImages);
  return { vectors, fingerprint: commonFingerprint(encodedTexts, encodedImages) };
}

/** Stays where the encoder has nothing to say. */
function ownVector(content: Content): Outcome<Float32Array> {
  if (content.kind === 'vector') return { ok: true, value: content.vector };
  const error =
    content.kind === 'unusable' ? content.error : new InvalidInputError('the encoder gave no vector');
  return { ok: false, error };
}

function select<T>(contents: readonly Content[], pick: (content: Content) => T | undefined) {
  const positions: number[] = [];
  const inputs: T[] = [];
  for (const [position, content] of contents.entries()) {
    const input = pick(content);
    if (input === undefined) continue;
    positions.push(position);
    inputs.push(input);
  }
  return { positions, inputs };
}

function fill(
  vectors: Outcome<Float32Array>[],
  positions: readonly number[],
  encoded: Encoded | undefined,
): void {
  for (const [index, position] of positions.entries()) {
    const vector = encoded?.vectors[index];
    if (vector) vectors[position] = vector;
  }
}

function commonFingerprint(texts: Encoded | undefined, images: Encoded | undefined): string | undefined {
  if (texts && images && texts.fingerprint !== images.fingerprint)
    throw new AbortedError(
      `the encoder's model was swapped from ${texts.fingerprint} to ${images.fingerprint} meanwhile: try again`,
    );
  return (texts ?? images)?.fingerprint;
}

/** What `work` gives, or the application error it throws; defects go on. */
export function outcomeOf<T>(work: () => T): Outcome<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (error instanceof ApplicationError) return { ok: false, error };
    throw error;
  }
}
