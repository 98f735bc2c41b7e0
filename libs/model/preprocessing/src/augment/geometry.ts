import type { Box } from '../resample/bicubic.ts';
import type { RgbImage } from '../resize.ts';
import { transformAffine } from './affine.ts';
import type { Random } from './random.ts';

const CROP_AREA = [0.9, 1] as const;
const CROP_ASPECT = [3 / 4, 4 / 3] as const;
const CROP_ATTEMPTS = 10;

/** timm's random resized crop: 0.9 to 1 of the area, aspect 3/4 to 4/3 times square; if none fits, the middle. */
export function randomCrop(width: number, height: number, random: Random): Box {
  for (let attempt = 0; attempt < CROP_ATTEMPTS; attempt++) {
    const area = random.uniform(...CROP_AREA) * width * height;
    const aspect = Math.exp(random.uniform(Math.log(CROP_ASPECT[0]), Math.log(CROP_ASPECT[1])));
    const cropWidth = Math.round(Math.sqrt(area * aspect));
    const cropHeight = Math.round(Math.sqrt(area / aspect));
    if (cropWidth < 1 || cropHeight < 1 || cropWidth > width || cropHeight > height) continue;
    return {
      top: random.integer(0, height - cropHeight),
      left: random.integer(0, width - cropWidth),
      width: cropWidth,
      height: cropHeight,
    };
  }
  const aspect = Math.min(CROP_ASPECT[1], Math.max(CROP_ASPECT[0], width / height));
  const cropWidth = Math.max(1, Math.min(width, Math.round(height * aspect)));
  const cropHeight = Math.max(1, Math.min(height, Math.round(width / aspect)));
  return {
    left: Math.floor((width - cropWidth) / 2),
    top: Math.floor((height - cropHeight) / 2),
    width: cropWidth,
    height: cropHeight,
  };
}

export function flipHorizontally({ width, height, data }: RgbImage): RgbImage {
  const flipped = new Uint8Array(data.length);
  for (let y = 0, to = 0; y < height; y++)
    for (let x = width - 1; x >= 0; x--)
      for (let channel = 0; channel < 3; channel++)
        flipped[to++] = data[3 * (y * width + x) + channel] as number;
  return { width, height, data: flipped };
}

const SHIFT = 0.08;
const SCALE = [0.85, 1.1] as const;

/** Moves by up to 8 % of the side and scales by 0.85 to 1.1 about the centre; the edge's pixels fill what is bared. */
export function shiftAndScale(image: RgbImage, random: Random): RgbImage {
  const { width, height } = image;
  const step = 1 / random.uniform(...SCALE);
  const centerX = width / 2 + random.uniform(-SHIFT, SHIFT) * width;
  const centerY = height / 2 + random.uniform(-SHIFT, SHIFT) * height;
  const matrix = [step, 0, width / 2 - step * centerX, 0, step, height / 2 - step * centerY] as const;
  return transformAffine(image, matrix, 'edge');
}

const ERASED_AREA = [0.02, 1 / 3] as const;
const ERASED_ASPECT = [0.3, 1 / 0.3] as const;
const ERASE_ATTEMPTS = 10;

/**
 * Random erasing (Zhong et al. 2017) with timm's ranges: one rectangle becomes zero, the mean colour, in place.
 *
 * @param image [3, height, width], normalised.
 */
export function eraseRandomly(image: Float32Array, width: number, height: number, random: Random): void {
  for (let attempt = 0; attempt < ERASE_ATTEMPTS; attempt++) {
    const area = random.uniform(...ERASED_AREA) * width * height;
    const aspect = Math.exp(random.uniform(Math.log(ERASED_ASPECT[0]), Math.log(ERASED_ASPECT[1])));
    const erasedHeight = Math.round(Math.sqrt(area * aspect));
    const erasedWidth = Math.round(Math.sqrt(area / aspect));
    if (erasedWidth >= width || erasedHeight >= height) continue;
    const top = random.integer(0, height - erasedHeight);
    const left = random.integer(0, width - erasedWidth);
    for (let channel = 0; channel < 3; channel++)
      for (let y = top; y < top + erasedHeight; y++) {
        const start = (channel * height + y) * width + left;
        image.fill(0, start, start + erasedWidth);
      }
    return;
  }
}
