import { createHash } from 'node:crypto';
import { InvalidInputError } from '@online-cnclip/foundation';

/** As the contract says; more than any search box takes. */
export const MAX_QUERY_CHARACTERS = 256;

/** Of a query that is refused, as much as an error's text repeats. */
const SHOWN_CHARACTERS = 40;

/**
 * Chinese punctuation: the characters of the Python package zhon (zhon.hanzi.punctuation, 2.1.1), which the research
 * code removes from the names of its cache folders.
 */
const CHINESE_PUNCTUATION =
  /[\uFF01-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF64\u3000-\u3003\u3008-\u3011\u3014-\u301F\u3030\u303E\u303F\u2013\u2014\u2018\u2019\u201B-\u201F\u2026\u2027\uFE4F\uFE51\uFE54\u00B7]/gu;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL_CHARACTERS = /[\u0000-\u001F\u007F-\u009F]/u;

/** Two queries that differ in spaces and Chinese punctuation only are one to the cache, as in the research code. */
export function normalizeQuery(query: string): string {
  return query.trim().replaceAll(' ', '').replace(CHINESE_PUNCTUATION, '');
}

/**
 * What a query must be to be searched for and kept.
 *
 * Paths are refused although the cache would only hash them: the research code and whatever else reads an exported
 * cache make folders of queries.
 *
 * @returns its normalised form.
 * @throws InvalidInputError that names the query.
 */
export function requireQuery(query: string): string {
  const characters = [...query];
  const shown = JSON.stringify(characters.slice(0, SHOWN_CHARACTERS).join(''));
  const refuse = (reason: string): never => {
    throw new InvalidInputError(`${shown} ${reason}`, { place: 'query' });
  };
  if (characters.length > MAX_QUERY_CHARACTERS)
    refuse(`and so on has ${characters.length} characters, more than ${MAX_QUERY_CHARACTERS}`);
  if (CONTROL_CHARACTERS.test(query.trim())) refuse('holds a control character');
  if (/(^|[/\\])\.\.([/\\]|$)/.test(query.trim())) refuse('holds a path');
  if (!query.isWellFormed()) refuse('is no well-formed text');
  const normalized = normalizeQuery(query);
  if (normalized === '') refuse('is empty, or spaces and punctuation only');
  return normalized;
}

/** SHA-256 of a normalised query, 32 bytes: the key that no name can escape from. */
export function cacheKey(normalized: string): Buffer {
  return createHash('sha256').update(normalized, 'utf8').digest();
}
