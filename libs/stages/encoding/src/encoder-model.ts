import { setImmediate as nextTurn } from 'node:timers/promises';
import { InvalidInputError, type NdArray, throwIfAborted } from '@online-cnclip/foundation';
import type { ComputePrecision } from '@online-cnclip/network';
import type { ImageTower } from './image-tower.ts';
import { MAX_CONTEXT_LENGTH, MAX_TEXT_LENGTH, MIN_CONTEXT_LENGTH, TOKENIZE_SLICE } from './limits.ts';
import type { Outcome } from './outcome.ts';
import type { TextTower } from './text-tower.ts';

export interface ModelDescription {
  readonly checkpointPath: string;
  /** Preset, or the path of a configuration. */
  readonly visionModel: string;
  readonly textModel: string;
  /** SHA-256 in hexadecimal of all that a vector depends on: vectors are comparable when it is equal. */
  readonly fingerprint: string;
  /** Numbers per vector. */
  readonly embeddingDimension: number;
  /** Tokens per text at most, [CLS] and [SEP] included. */
  readonly contextLength: number;
  /** Token ids that the text tower knows: 0 up to this. */
  readonly vocabularySize: number;
  /** Height and width in pixels that images are resized to. */
  readonly imageResolution: number;
  /** Scale from a cosine to a logit, already exponentiated. */
  readonly logitScale: number;
  /** What its matrix products are computed in. */
  readonly precision: ComputePrecision;
}

/** The part of a tokenizer that the model needs. */
export interface TextTokenizer {
  /** @returns [texts, longest] ids, zero-padded to the longest text. */
  encodeTrimmed(texts: readonly string[], contextLength: number): NdArray<'int32'>;
}

export interface EncoderModelParts {
  readonly description: ModelDescription;
  readonly tokenizer: TextTokenizer;
  readonly texts: TextTower;
  readonly images: ImageTower;
}

/** Vectors of length 1 differ from it by rounding only; anything else means damaged weights. */
const NORM_TOLERANCE = 1e-3;

/** A loaded model: texts and image files to embeddings of length 1 in one space. */
export class EncoderModel {
  readonly description: ModelDescription;
  readonly texts: TextTower;
  readonly images: ImageTower;
  readonly #tokenizer: TextTokenizer;

  constructor(parts: EncoderModelParts) {
    this.description = parts.description;
    this.texts = parts.texts;
    this.images = parts.images;
    this.#tokenizer = parts.tokenizer;
  }

  /**
   * @returns per text its ids from [CLS] to [SEP], without padding.
   * @throws InvalidInputError when the context length is out of range; the signal's reason once it is aborted.
   */
  async tokenize(
    texts: readonly string[],
    contextLength: number = this.description.contextLength,
    signal?: AbortSignal,
  ): Promise<Outcome<Int32Array>[]> {
    checkContextLength(contextLength);
    const outcomes: Outcome<Int32Array>[] = [];
    let characters = 0;
    for (const text of texts) {
      outcomes.push(this.#tokenizeOne(text, contextLength));
      characters += text.length;
      if (characters < TOKENIZE_SLICE) continue;
      characters = 0;
      await nextTurn();
      throwIfAborted(signal);
    }
    return outcomes;
  }

  /**
   * @returns per text its embedding [embed], or why it has none.
   * @throws ResourceExhaustedError when the queue is full; the signal's reason once it is aborted.
   */
  async encodeTexts(texts: readonly string[], signal?: AbortSignal): Promise<Outcome<Float32Array>[]> {
    throwIfAborted(signal);
    const tokenized = await this.tokenize(texts, this.description.contextLength, signal);
    const ids = tokenized.flatMap((outcome) => (outcome.ok ? [outcome.value] : []));
    const vectors = (await this.texts.encode(ids, signal))[Symbol.iterator]();
    return tokenized.map((outcome) =>
      outcome.ok ? (vectors.next().value as Outcome<Float32Array>) : outcome,
    );
  }

  /** Image files to embeddings. @returns and throws as {@link encodeTexts}. */
  encodeImages(files: readonly Uint8Array[], signal?: AbortSignal): Promise<Outcome<Float32Array>[]> {
    return this.images.encode(files, signal);
  }

  /**
   * Computes one real text and one image through both towers.
   *
   * @throws InvalidInputError when a vector is not what a sound model gives.
   */
  async verify(signal?: AbortSignal): Promise<void> {
    const { imageResolution } = this.description;
    const emptyText = this.#tokenizeOne('', this.description.contextLength);
    if (!emptyText.ok) throw emptyText.error;
    const [text] = await this.texts.encode([emptyText.value], signal);
    if (!text?.ok) throw text?.error;
    this.#checkVector('text', text.value);
    const blackImage = new Float32Array(3 * imageResolution * imageResolution);
    this.#checkVector('image', await this.images.encodePixels(blackImage, signal));
  }

  /** To be called when no encode is under way. */
  async dispose(): Promise<void> {
    await Promise.all([this.texts.dispose(), this.images.dispose()]);
  }

  #tokenizeOne(text: string, contextLength: number): Outcome<Int32Array> {
    if (text.length > MAX_TEXT_LENGTH)
      return refuse(`a text of ${text.length} characters is longer than ${MAX_TEXT_LENGTH}`);
    const ids = this.#tokenizer.encodeTrimmed([text], contextLength).data;
    const { vocabularySize } = this.description;
    const unknown = ids.find((id) => id >= vocabularySize);
    if (unknown !== undefined)
      return refuse(`token ${unknown} is not in the model's vocabulary of ${vocabularySize}`);
    return { ok: true, value: ids };
  }

  #checkVector(tower: string, vector: Float32Array): void {
    const { embeddingDimension, checkpointPath } = this.description;
    const norm = Math.hypot(...vector);
    if (vector.length === embeddingDimension && Math.abs(norm - 1) < NORM_TOLERANCE) return;
    throw new InvalidInputError(
      `the ${tower} tower gives a vector of ${vector.length} numbers and length ${norm}, ` +
        `not ${embeddingDimension} and 1: the checkpoint is damaged or not of these towers`,
      { place: checkpointPath },
    );
  }
}

/** @throws InvalidInputError when texts of so many tokens cannot be. */
export function checkContextLength(contextLength: number, maximum: number = MAX_CONTEXT_LENGTH): void {
  if (contextLength >= MIN_CONTEXT_LENGTH && contextLength <= maximum) return;
  throw new InvalidInputError(`${contextLength} is not from ${MIN_CONTEXT_LENGTH} to ${maximum}`, {
    place: 'context_length',
  });
}

function refuse(message: string): Outcome<never> {
  return { ok: false, error: new InvalidInputError(message) };
}
