import { InvalidInputError } from '@online-cnclip/foundation';
import { decodeBase64, encodeBase64, isBase64 } from './base64.ts';
import { type Id, idToString, isInt64, shown } from './ids.ts';
import { type ReadLinesOptions, readLineBatches } from './lines.ts';
import { writeLines } from './write-lines.ts';

// {split}_imgs.tsv: a line per image, `image_id \t base64`, the image file's bytes in URL-safe base64 with padding.
// No header. Ids are integers, each in one line only.

/** An image and its id, a 64-bit integer in decimal. */
export interface ImageRow {
  readonly imageId: string;
  /** The image file, as it was before base64. */
  readonly image: Buffer;
  /** In the .tsv, from 1. */
  readonly line: number;
}

/** A line of the .tsv, its fields still bytes of it. */
export interface ImageLine {
  readonly id: Buffer;
  readonly base64: Buffer;
}

const TAB = 0x09;
/** A sign and 19 digits. */
const LONGEST_ID = 20;

/**
 * Streams the images of a .tsv, in its order. Ids are kept to find a repeated one: some 100 bytes an image.
 *
 * @throws NotFoundError; InvalidInputError at `path:line` for a line that is not an id, a tab and base64, or whose id
 * an earlier line has; the signal's error.
 */
export async function* readImagesTsv(
  path: string,
  options: ReadLinesOptions = {},
): AsyncGenerator<ImageRow, void, undefined> {
  const seen = new Set<string>();
  for await (const { lines, firstLine } of readLineBatches(path, options)) {
    for (const [i, bytes] of lines.entries()) {
      const line = firstLine + i;
      const place = `${path}:${line}`;
      const { id, base64 } = parseImageLine(bytes, place);
      const imageId = id.toString('latin1');
      if (seen.has(imageId)) throw repeatedImage(imageId, place);
      seen.add(imageId);
      const image = decodeBase64(base64);
      if (image === undefined) throw notBase64(imageId, place);
      yield { imageId, image, line };
    }
  }
}

/**
 * Splits a line and checks its id.
 *
 * @throws InvalidInputError
 */
export function parseImageLine(line: Buffer, place: string): ImageLine {
  const tab = line.indexOf(TAB);
  if (tab === -1) throw new InvalidInputError('no tab between image id and base64', { place });
  const id = line.subarray(0, tab);
  if (tab > LONGEST_ID || !isInt64(id.toString('latin1')))
    throw new InvalidInputError(
      `the image id ${shown(id.subarray(0, 64).toString())} is not a 64-bit integer in decimal`,
      { place },
    );
  return { id, base64: line.subarray(tab + 1) };
}

/** As {@link parseImageLine}; the base64 is checked too, but not kept decoded. */
export function checkImageLine(line: Buffer, place: string): ImageLine {
  const parsed = parseImageLine(line, place);
  if (!isBase64(parsed.base64)) throw notBase64(parsed.id.toString('latin1'), place);
  return parsed;
}

export function repeatedImage(imageId: string, place: string): InvalidInputError {
  return new InvalidInputError(`image ${imageId} is in an earlier line already`, { place });
}

function notBase64(imageId: string, place: string): InvalidInputError {
  return new InvalidInputError(`image ${imageId} is not base64 with padding`, { place });
}

/** An image to write. */
export interface NewImage {
  readonly imageId: Id;
  readonly image: Uint8Array;
}

/**
 * Writes a .tsv, replacing it when it is complete.
 *
 * @returns the number of images.
 * @throws InvalidInputError for an id that is no 64-bit integer or repeated, or an image without a byte.
 */
export function writeImagesTsv(
  path: string,
  images: Iterable<NewImage> | AsyncIterable<NewImage>,
): Promise<number> {
  const seen = new Set<string>();
  return writeLines(path, images, ({ imageId, image }, place) => {
    const id = idToString(imageId, place);
    if (seen.has(id)) throw repeatedImage(id, place);
    seen.add(id);
    if (image.length === 0) throw new InvalidInputError(`image ${id} is empty`, { place });
    return `${id}\t${encodeBase64(image)}\n`;
  });
}
