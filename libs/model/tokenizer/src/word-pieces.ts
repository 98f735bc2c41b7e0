import { InvalidInputError } from '@online-cnclip/foundation';

export const SPECIAL_TOKENS = { pad: '[PAD]', unknown: '[UNK]', start: '[CLS]', end: '[SEP]' } as const;

/** In code points, as in cn_clip (BERT's first release: 200); a longer word becomes one unknown token. */
const MAX_WORD_LENGTH = 200;

const CONTINUATION = '##';

export interface SpecialIds {
  readonly pad: number;
  readonly unknown: number;
  readonly start: number;
  readonly end: number;
}

/** A WordPiece vocabulary: one token per line, its id the line's number from 0. */
export class Vocabulary {
  readonly size: number;
  readonly special: SpecialIds;
  readonly #ids = new Map<string, number>();
  readonly #tokens: readonly string[];
  readonly #longestToken: number;

  /** @param place names the source in errors. */
  constructor(text: string, place: string) {
    this.#tokens = text
      .replace(/\r?\n$/, '')
      .split(/\r?\n/)
      .map((line) => line.trim());
    this.#tokens.forEach((token, id) => {
      this.#ids.set(token, id);
    });
    this.size = this.#tokens.length;
    this.#longestToken = this.#tokens.reduce((longest, token) => Math.max(longest, token.length), 0);
    const idOf = (token: string): number => {
      const id = this.#ids.get(token);
      if (id === undefined) throw new InvalidInputError(`the vocabulary has no ${token}`, { place });
      return id;
    };
    this.special = {
      pad: idOf(SPECIAL_TOKENS.pad),
      unknown: idOf(SPECIAL_TOKENS.unknown),
      start: idOf(SPECIAL_TOKENS.start),
      end: idOf(SPECIAL_TOKENS.end),
    };
  }

  token(id: number): string | undefined {
    return this.#tokens[id];
  }

  /** Splits a word into its longest known pieces from the left; the unknown token where one piece is not known. */
  piecesOf(word: string): readonly number[] {
    const characters = [...word];
    if (characters.length > MAX_WORD_LENGTH) return [this.special.unknown];
    const pieces: number[] = [];
    for (let start = 0; start < characters.length; ) {
      const piece = this.#longestPiece(characters, start);
      if (!piece) return [this.special.unknown];
      pieces.push(piece.id);
      start = piece.end;
    }
    return pieces;
  }

  #longestPiece(characters: readonly string[], start: number): { id: number; end: number } | undefined {
    const prefix = start > 0 ? CONTINUATION : '';
    for (let end = Math.min(characters.length, start + this.#longestToken); end > start; end--) {
      const id = this.#ids.get(prefix + characters.slice(start, end).join(''));
      if (id !== undefined) return { id, end };
    }
    return undefined;
  }
}
