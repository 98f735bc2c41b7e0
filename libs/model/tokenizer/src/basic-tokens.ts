/** Replacement characters, and controls and formats other than the three that count as white space. */
const DROPPED = /[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}]/gu;
/** Python's `str.split()` splits on the line and paragraph separators too. */
const SPACE = /[\t\n\r\p{Zs}\u2028\u2029]+/gu;
/** CJK ideographs, in BERT's own list of blocks: each is a word by itself. */
const IDEOGRAPH =
  /[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;
const ACCENT = /\p{Mn}/gu;
/** Unicode's punctuation and all of ASCII that is neither letter nor digit. */
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;

/** The research code's own preparation: lower case, and curly double quotes made straight. */
export function normalizeText(text: string): string {
  return text.toLowerCase().replace(/[“”]/g, '"');
}

/**
 * BERT's basic tokenizer for lower-cased text: words, single ideographs and single punctuation marks, without
 * accents (https://github.com/google-research/bert, tokenization.py).
 */
export function basicTokens(text: string): string[] {
  const spaced = text.replace(DROPPED, '').replace(IDEOGRAPH, ' $& ');
  const words = spaced.toLowerCase().normalize('NFD').replace(ACCENT, '');
  return words
    .replace(PUNCTUATION, ' $& ')
    .split(SPACE)
    .filter((token) => token !== '');
}
