import { InvalidInputError, messageOf } from '@online-cnclip/foundation';
import { decodeImage, readImageHeader, resizeRgb } from '@online-cnclip/preprocessing';
import sharp from 'sharp';
import { DownloadError } from './download-error.ts';

/** As the research code kept them: pictures are squashed to a square. */
export const CACHE_IMAGE_SIDE = 224;

/** Twice the pixels of a camera's; what says to have more is made to fill the memory. */
const MAX_PIXELS = 50_000_000;
const MAX_SIDE = 16_384;

/** Hardly any loss: the picture is decoded and resized once more before it is trained on. */
const JPEG_QUALITY = 95;

/**
 * The picture as the cache keeps it: 224 x 224 pixels, RGB, JPEG.
 *
 * @throws DownloadError `not-an-image` by its first bytes, `too-many-pixels` before it is decoded, `damaged`.
 */
export async function toCacheImage(bytes: Buffer, url: string): Promise<Buffer> {
  checkHeader(bytes, url);
  try {
    const decoded = await decodeImage(bytes, { maxPixels: MAX_PIXELS, maxSide: MAX_SIDE });
    const { data, width, height } = resizeRgb(decoded, CACHE_IMAGE_SIDE);
    return await sharp(data, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: JPEG_QUALITY, chromaSubsampling: '4:4:4' })
      .toBuffer();
  } catch (cause) {
    throw new DownloadError('damaged', messageOf(cause), url, { cause });
  }
}

function checkHeader(bytes: Buffer, url: string): void {
  let pixels: number;
  let side: number;
  try {
    const { width, height } = readImageHeader(bytes);
    pixels = width * height;
    side = Math.max(width, height);
  } catch (cause) {
    if (!(cause instanceof InvalidInputError)) throw cause;
    // A file that ends within its header was cut off; any other has the wrong first bytes.
    const isHtml = /^\s*(<!doctype|<html)/i.test(bytes.toString('latin1', 0, 64));
    const isCut = cause.message.includes('ends within its header') || bytes.length === 0;
    const failure = isHtml ? 'html' : isCut ? 'damaged' : 'not-an-image';
    throw new DownloadError(failure, messageOf(cause), url, { cause });
  }
  if (pixels === 0) throw new DownloadError('damaged', 'has no pixels', url);
  if (pixels > MAX_PIXELS || side > MAX_SIDE)
    throw new DownloadError('too-many-pixels', `${pixels} pixels, ${side} a side`, url);
}
