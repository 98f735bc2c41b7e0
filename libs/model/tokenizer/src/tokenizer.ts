import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InvalidInputError, int32, messageOf, type NdArray, NotFoundError } from '@online-cnclip/foundation';
import { basicTokens, normalizeText } from './basic-tokens.ts';
import { Vocabulary } from './word-pieces.ts';

/** The positions that BERT's text towers have. */
export const MAX_CONTEXT_LENGTH = 512;

/** [CLS] and [SEP] always have their place. */
export const MIN_CONTEXT_LENGTH = 2;

/** In UTF-16 units; far above what a context can hold, a bound on the work that one text can ask for. */
export const MAX_TEXT_LENGTH = 100_000;

/** The vocabulary of BERT-Base, Chinese: 21,128 tokens. */
export const DEFAULT_VOCABULARY_PATH = fileURLToPath(new URL('../data/vocab.txt', import.meta.url));

/** BERT's WordPiece tokenizer with the ids of cn_clip, on lower-cased text with straight quotes. */
export interface Tokenizer {
  readonly vocabularySize: number;
  /**
   * Ids as int32 [texts, contextLength]: [CLS], pieces, [SEP], then zeros; cut to the length.
   *
   * @throws InvalidInputError for a context length out of range or a text above {@link MAX_TEXT_LENGTH}.
   */
  encode(texts: readonly string[], contextLength: number): NdArray<'int32'>;
  /** As {@link encode}, but only as long as the longest text needs: int32 [texts, up to contextLength]. */
  encodeTrimmed(texts: readonly string[], contextLength: number): NdArray<'int32'>;
  /** The pieces of a text, without [CLS] and [SEP]. */
  tokenize(text: string): string[];
  /** Text for reading: pieces joined, without [CLS], [SEP] and padding. @throws InvalidInputError for an unknown id. */
  decode(ids: Iterable<number>): string;
}

/**
 * @param vocabularyPath one token per line; the published Chinese one by default.
 * @throws NotFoundError when the file cannot be read, InvalidInputError when it lacks a special token.
 */
export function loadTokenizer(vocabularyPath: string = DEFAULT_VOCABULARY_PATH): Tokenizer {
  let text: string;
  try {
    text = readFileSync(vocabularyPath, 'utf8');
  } catch (cause) {
    throw new NotFoundError(`the vocabulary cannot be read: ${messageOf(cause)}`, {
      place: vocabularyPath,
      cause,
    });
  }
  return new WordPieceTokenizer(new Vocabulary(text, vocabularyPath));
}

class WordPieceTokenizer implements Tokenizer {
  readonly #vocabulary: Vocabulary;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  get vocabularySize(): number {
    return this.#vocabulary.size;
  }

  encode(texts: readonly string[], contextLength: number): NdArray<'int32'> {
    return this.#fill(this.#sequences(texts, contextLength), contextLength);
  }

  encodeTrimmed(texts: readonly string[], contextLength: number): NdArray<'int32'> {
    const sequences = this.#sequences(texts, contextLength);
    const longest = sequences.reduce((length, ids) => Math.max(length, ids.length), MIN_CONTEXT_LENGTH);
    return this.#fill(sequences, longest);
  }

  tokenize(text: string): string[] {
    return this.#pieces(text, Number.POSITIVE_INFINITY, 'text').map((id) => this.#tokenOf(id));
  }

  decode(ids: Iterable<number>): string {
    const { pad, start, end } = this.#vocabulary.special;
    const pieces = [...ids].filter((id) => id !== pad && id !== start && id !== end);
    return pieces
      .map((id) => this.#tokenOf(id))
      .join(' ')
      .replaceAll(' ##', '');
  }

  #sequences(texts: readonly string[], contextLength: number): number[][] {
    if (
      !Number.isInteger(contextLength) ||
      contextLength < MIN_CONTEXT_LENGTH ||
      contextLength > MAX_CONTEXT_LENGTH
    )
      throw new InvalidInputError(
        `${contextLength} is not a whole number from ${MIN_CONTEXT_LENGTH} to ${MAX_CONTEXT_LENGTH}`,
        { place: 'context length' },
      );
    const { start, end } = this.#vocabulary.special;
    return texts.map((text, index) => [
      start,
      ...this.#pieces(text, contextLength - 2, `texts[${index}]`),
      end,
    ]);
  }

  /** Stops once there are enough, and cuts to exactly that many. */
  #pieces(text: string, count: number, place: string): number[] {
    if (text.length > MAX_TEXT_LENGTH)
      throw new InvalidInputError(`is ${text.length} characters long, more than ${MAX_TEXT_LENGTH}`, {
        place,
      });
    const pieces: number[] = [];
    for (const word of basicTokens(normalizeText(text))) {
      if (pieces.length >= count) break;
      pieces.push(...this.#vocabulary.piecesOf(word));
    }
    return pieces.slice(0, count);
  }

  #tokenOf(id: number): string {
    const token = this.#vocabulary.token(id);
    if (token === undefined)
      throw new InvalidInputError(`${id} is not an id of the vocabulary (0 to ${this.vocabularySize - 1})`, {
        place: 'ids',
      });
    return token;
  }

  #fill(sequences: readonly number[][], length: number): NdArray<'int32'> {
    const data = new Int32Array(sequences.length * length).fill(this.#vocabulary.special.pad);
    sequences.forEach((ids, row) => {
      data.set(ids, row * length);
    });
    return int32([sequences.length, length], data);
  }
}
