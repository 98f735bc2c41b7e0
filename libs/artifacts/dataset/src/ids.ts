import { InvalidInputError } from '@online-cnclip/foundation';
import { MAX_SHOWN_CHARACTERS } from './limits.ts';

/** A text's or image's id as callers may give it: a 64-bit signed integer; a string holds it in decimal. */
export type Id = string | number | bigint;

const CANONICAL = /^(?:0|-?[1-9][0-9]{0,18})$/;
/** Decimal strings up to this length are in the range of 64 bits whatever their digits. */
const SURELY_INT64_CHARACTERS = 18;

/** Whether a string is the one decimal form of a 64-bit signed integer (no sign of plus, no leading zero). */
export function isInt64(text: string): boolean {
  if (!CANONICAL.test(text)) return false;
  return text.length <= SURELY_INT64_CHARACTERS || BigInt.asIntN(64, BigInt(text)) === BigInt(text);
}

/**
 * The id in decimal.
 *
 * @throws InvalidInputError when it is no 64-bit signed integer, or a number too large to be exact.
 */
export function idToString(id: Id, place: string): string {
  const text = String(id);
  if (typeof id === 'number' ? !Number.isSafeInteger(id) : !isInt64(text))
    throw new InvalidInputError(`${shown(text)} is not a 64-bit integer in decimal`, { place });
  return text;
}

/** A broken value, short enough for an error message. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const cut = text.length > MAX_SHOWN_CHARACTERS ? `${text.slice(0, MAX_SHOWN_CHARACTERS)}…` : text;
  return JSON.stringify(cut);
}
