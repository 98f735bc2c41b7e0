import { InvalidInputError, messageOf } from '@online-cnclip/foundation';
import sharp, { type Sharp } from 'sharp';
import { type ImageHeader, type ImageMode, readImageHeader } from './image-header.ts';
import { DECODE_COST, DEFAULT_LIMITS, type DecodeLimits, MAX_DECODE_BYTES } from './limits.ts';

// Images are decoded side by side, one per worker thread: splitting one over threads as well, or keeping results
// that are never asked for again, only costs.
sharp.concurrency(1);
sharp.cache(false);

/** A file that would keep a worker busy for longer is refused. */
const MAX_DECODE_SECONDS = 20;

/**
 * Pixels as Pillow has them after `Image.open`: no rotation by EXIF, no colour profile applied, an animation's first
 * frame. Rows from the top, channels interleaved.
 *
 * Gray and palette images come with three channels filled in, LA with four; `mode` says what they were, since it
 * decides how they are resized. CMYK has its four inks, 'I;16' one channel of 16 bits.
 */
export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  readonly mode: ImageMode;
  /** [height, width, channels]: 3 channels for '1', 'L', 'P', 'RGB'; 4 for 'LA', 'RGBA', 'CMYK'; 1 for 'I;16'. */
  readonly data: Uint8Array | Uint16Array;
}

/**
 * Decodes a JPEG, PNG, GIF or WebP file.
 *
 * @throws InvalidInputError when the bytes are of another kind, damaged or truncated, or above a limit (judged from
 * the header, before decoding).
 */
export async function decodeImage(
  file: Uint8Array,
  limits: Partial<DecodeLimits> = {},
): Promise<DecodedImage> {
  const { maxBytes, maxPixels, maxSide } = { ...DEFAULT_LIMITS, ...limits };
  if (file.length > maxBytes)
    throw new InvalidInputError(`is ${file.length} bytes long, more than ${maxBytes}`, { place: 'image' });
  const header = readImageHeader(file);
  const { width, height } = header;
  if (width * height > maxPixels || Math.max(width, height) > maxSide)
    throw new InvalidInputError(
      `is ${width} x ${height} pixels: more than ${maxPixels} in all or ${maxSide} a side`,
      { place: 'image' },
    );
  const decodeBytes = width * height * DECODE_COST[header.decoding];
  if (decodeBytes > MAX_DECODE_BYTES)
    throw new InvalidInputError(
      `is ${width} x ${height} pixels: a ${header.format.toUpperCase()} of this kind may have ${Math.floor(MAX_DECODE_BYTES / DECODE_COST[header.decoding])}`,
      { place: 'image' },
    );
  const image = sharp(file, { limitInputPixels: maxPixels, failOn: 'truncated', ignoreIcc: true }).timeout({
    seconds: MAX_DECODE_SECONDS,
  });
  try {
    return await readPixels(image, header);
  } catch (cause) {
    const format = header.format.toUpperCase();
    throw new InvalidInputError(`cannot be decoded as ${format}: ${messageOf(cause)}`, {
      place: 'image',
      cause,
    });
  }
}

async function readPixels(image: Sharp, header: ImageHeader): Promise<DecodedImage> {
  const { mode } = header;
  if (mode === 'I;16') {
    const gray = image.removeAlpha().pipelineColourspace('grey16').toColourspace('grey16');
    const { data, info } = await gray.raw({ depth: 'ushort' }).toBuffer({ resolveWithObject: true });
    const values = new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
    return { width: info.width, height: info.height, mode, data: values };
  }
  if (mode === 'CMYK') image.pipelineColourspace('cmyk').toColourspace('cmyk');
  // A transparent colour beside an image without alpha: Pillow ignores it when converting to RGB.
  const keepsAlpha =
    mode === undefined || mode === 'LA' || mode === 'RGBA' || header.transparentColor !== undefined;
  if (!keepsAlpha && mode !== 'CMYK') image.removeAlpha();
  const { data: buffer, info } = await image.raw().toBuffer({ resolveWithObject: true });
  // Not a Buffer: its slice() shares the memory.
  let data = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  if (header.transparentColor && info.channels === 4) data = fillTransparent(data, header.transparentColor);
  const decoded = mode ?? (info.channels === 4 ? 'RGBA' : 'RGB');
  const channels = decoded === 'LA' || decoded === 'RGBA' || decoded === 'CMYK' ? 4 : 3;
  // The resampler trusts this layout.
  if (data.length !== info.width * info.height * channels)
    throw new Error(`${info.channels} channels for mode ${decoded}`);
  return { width: info.width, height: info.height, mode: decoded, data };
}

function fillTransparent(rgba: Uint8Array, color: Uint8Array): Uint8Array<ArrayBuffer> {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3)
    rgb.set(rgba[from + 3] === 0 ? color : rgba.subarray(from, from + 3), to);
  return rgb;
}
