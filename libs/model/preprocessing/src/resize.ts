import type { DecodedImage } from './decode-image.ts';
import { type Box, resizeBicubic } from './resample/bicubic.ts';
import { resizeGray16, resizeNearest } from './resample/exotic.ts';

export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3] */
  readonly data: Uint8Array;
}

/**
 * Pillow's `crop(box).resize((width, height), BICUBIC).convert('RGB')`: resized in the image's own mode (palette and
 * bilevel by the nearest pixel, alpha premultiplied), converted afterwards; alpha is dropped, not blended.
 */
export function resizeRgb(
  image: DecodedImage,
  width: number,
  height: number = width,
  box: Box = { left: 0, top: 0, width: image.width, height: image.height },
): RgbImage {
  const sameSize = box.width === width && box.height === height;
  return { width, height, data: resizeInMode(image, width, height, box, sameSize) };
}

function resizeInMode(
  image: DecodedImage,
  width: number,
  height: number,
  box: Box,
  sameSize: boolean,
): Uint8Array {
  if (image.mode === 'I;16') return resizeGray16(image.data as Uint16Array, image.width, box, width, height);
  const data = image.data as Uint8Array;
  const { mode } = image;
  if (mode === '1' || mode === 'P') return resizeNearest(data, image.width, box, width, height);
  if (mode === 'L' || mode === 'RGB')
    return resizeBicubic({ ...image, data, channels: 3 }, width, height, box);
  if (mode === 'CMYK') return inksToRgb(resizeBicubic({ ...image, data, channels: 4 }, width, height, box));
  // Pillow copies an image that has the size already, and then premultiplies nothing.
  if (sameSize) return dropAlpha(resizeBicubic({ ...image, data, channels: 4 }, width, height, box));
  const premultiplied = { ...image, data: premultiply(data), channels: 4 } as const;
  return unpremultiplyToRgb(resizeBicubic(premultiplied, width, height, box));
}

/** a * b / 255, rounded: Pillow's MULDIV255. */
function multiply255(a: number, b: number): number {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

function premultiply(rgba: Uint8Array): Uint8Array {
  const result = new Uint8Array(rgba.length);
  for (let at = 0; at < rgba.length; at += 4) {
    const alpha = rgba[at + 3] as number;
    for (let channel = 0; channel < 3; channel++)
      result[at + channel] = multiply255(rgba[at + channel] as number, alpha);
    result[at + 3] = alpha;
  }
  return result;
}

function unpremultiplyToRgb(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    const alpha = rgba[from + 3] as number;
    for (let channel = 0; channel < 3; channel++) {
      const value = rgba[from + channel] as number;
      rgb[to + channel] = alpha === 0 ? value : Math.min(255, Math.floor((255 * value) / alpha));
    }
  }
  return rgb;
}

function dropAlpha(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3)
    for (let channel = 0; channel < 3; channel++) rgb[to + channel] = rgba[from + channel] as number;
  return rgb;
}

/** Without a colour profile, as Pillow converts: 255 - K, less the ink's share of it. */
function inksToRgb(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4, to += 3) {
    const light = 255 - (cmyk[from + 3] as number);
    for (let channel = 0; channel < 3; channel++)
      rgb[to + channel] = light - multiply255(cmyk[from + channel] as number, light);
  }
  return rgb;
}
