import { InvalidInputError, messageOf } from '@online-cnclip/foundation';
import sharp from 'sharp';

/** Side of the square pictures the demo works on, in pixels: that of the published PNGs. */
export const PICTURE_SIDE = 64;
/** Far above any emoji; keeps a hostile SVG or PNG from taking the memory. */
const MAX_INPUT_PIXELS = 4096 * 4096;

/**
 * A PNG or SVG as an opaque PNG of 64 x 64 pixels on white. Emoji are drawn for light backgrounds, and the
 * model's preprocessing drops transparency as Pillow's `convert("RGB")` does, which would leave them on black.
 *
 * @throws InvalidInputError naming the place when the bytes are no picture.
 */
export async function renderPicture(bytes: Uint8Array, place: string): Promise<Buffer> {
  try {
    return await sharp(bytes, { limitInputPixels: MAX_INPUT_PIXELS })
      .resize(PICTURE_SIDE, PICTURE_SIDE, { fit: 'contain', background: '#ffffff' })
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .removeAlpha()
      .png({ compressionLevel: 3 })
      .toBuffer();
  } catch (cause) {
    throw new InvalidInputError(`cannot be read as a picture: ${messageOf(cause)}`, { place, cause });
  }
}
