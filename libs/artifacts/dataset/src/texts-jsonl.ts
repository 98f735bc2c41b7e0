import { isUtf8 } from 'node:buffer';
import { InvalidInputError } from '@online-cnclip/foundation';
import { type Id, idToString, shown } from './ids.ts';
import { MAX_TEXT_BYTES } from './limits.ts';
import { type ReadLinesOptions, readLineBatches } from './lines.ts';
import { writeLines } from './write-lines.ts';

// {split}_texts.jsonl: a line per text, `{"text_id": 8000, "text": "红色连衣裙", "image_ids": [1000003]}` in UTF-8.
// Ids are integers of up to 64 bits; other fields are allowed and not read.

/** A text and the images that it describes. Ids are 64-bit integers in decimal. */
export interface TextRow {
  readonly textId: string;
  readonly text: string;
  /** Empty where they are not known, as in a test split. */
  readonly imageIds: readonly string[];
  /** In the .jsonl, from 1. */
  readonly line: number;
}

export interface ReadTextsOptions extends ReadLinesOptions {
  /** Whether a line without `image_ids` is broken, or has no image (the default). */
  readonly requireImageIds?: boolean;
  /** Absent: an image id is not looked up. */
  readonly hasImage?: (imageId: string) => boolean;
}

/**
 * Streams the texts of a .jsonl, in its order.
 *
 * @throws NotFoundError; InvalidInputError at `path:line` for a line that is not UTF-8 or JSON, lacks a field, has one
 * of the wrong type, or names an image that there is not; the signal's error.
 */
export async function* readTextsJsonl(
  path: string,
  options: ReadTextsOptions = {},
): AsyncGenerator<TextRow, void, undefined> {
  for await (const { lines, firstLine } of readLineBatches(path, options))
    for (const [i, bytes] of lines.entries()) yield parseTextLine(bytes, path, firstLine + i, options);
}

/** @throws InvalidInputError */
export function parseTextLine(
  bytes: Buffer,
  path: string,
  line: number,
  { requireImageIds = false, hasImage }: ReadTextsOptions = {},
): TextRow {
  const place = `${path}:${line}`;
  const fields = parseObject(bytes, place);
  const { text_id: textId, text, image_ids: images = requireImageIds ? undefined : [] } = fields;
  if (textId === undefined) throw missing('text_id', place);
  if (text === undefined) throw missing('text', place);
  if (images === undefined) throw missing('image_ids', place);
  if (typeof text !== 'string')
    throw new InvalidInputError(`text is ${shown(text)}, not a string`, { place });
  checkText(text, place);
  if (!Array.isArray(images))
    throw new InvalidInputError(`image_ids is ${shown(images)}, not a list`, { place });
  const imageIds = images.map((id) => readId(id, 'image_ids', place));
  for (const id of imageIds)
    if (hasImage !== undefined && !hasImage(id))
      throw new InvalidInputError(`there is no image ${id}`, { place });
  return { textId: readId(textId, 'text_id', place), text, imageIds, line };
}

function missing(field: string, place: string): InvalidInputError {
  return new InvalidInputError(`no field ${field}`, { place });
}

function parseObject(bytes: Buffer, place: string): Record<string, unknown> {
  if (!isUtf8(bytes)) throw new InvalidInputError('not UTF-8', { place });
  const json = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(json);
    if (hasLargeInteger(value)) value = JSON.parse(json, keepLargeIntegers);
  } catch (cause) {
    throw new InvalidInputError('not JSON', { place, cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidInputError('not a JSON object', { place });
  return value as Record<string, unknown>;
}

/** Whether an id of the line is too large for a double to be exact: seldom, and reading those is ten times slower. */
function hasLargeInteger(value: unknown): boolean {
  const { text_id: textId, image_ids: imageIds } = (value ?? {}) as Record<string, unknown>;
  const isLarge = (id: unknown) => typeof id === 'number' && Math.abs(id) > Number.MAX_SAFE_INTEGER;
  return isLarge(textId) || (Array.isArray(imageIds) && imageIds.some(isLarge));
}

/** A reviver that reads integers as they are written. */
function keepLargeIntegers(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  return /^-?[0-9]+$/.test(context?.source ?? '') ? BigInt(context?.source as string) : value;
}

function readId(id: unknown, field: string, place: string): string {
  if (typeof id !== 'number' && typeof id !== 'bigint')
    throw new InvalidInputError(`${field} holds ${shown(id)}, not an integer`, { place });
  return idToString(id, place);
}

function checkText(text: string, place: string): void {
  if (!text.isWellFormed()) throw new InvalidInputError('the text has half of a surrogate pair', { place });
  if (Buffer.byteLength(text) > MAX_TEXT_BYTES)
    throw new InvalidInputError(`the text is longer than ${MAX_TEXT_BYTES} bytes`, { place });
}

/** A text to write. */
export interface NewText {
  readonly textId: Id;
  readonly text: string;
  readonly imageIds: readonly Id[];
}

/**
 * Writes a .jsonl as Python's `json.dumps(..., ensure_ascii=False)` formats its lines, replacing it when it is
 * complete.
 *
 * @returns the number of texts.
 * @throws InvalidInputError for an id that is no 64-bit integer, or a text that could not be read back.
 */
export function writeTextsJsonl(
  path: string,
  texts: Iterable<NewText> | AsyncIterable<NewText>,
): Promise<number> {
  return writeLines(path, texts, ({ textId, text, imageIds }, place) => {
    checkText(text, place);
    const images = imageIds.map((id) => idToString(id, place)).join(', ');
    return `{"text_id": ${idToString(textId, place)}, "text": ${JSON.stringify(text)}, "image_ids": [${images}]}\n`;
  });
}
