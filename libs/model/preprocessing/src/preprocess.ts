import { InvalidInputError } from '@online-cnclip/foundation';
import { eraseRandomly, flipHorizontally, randomCrop, shiftAndScale } from './augment/geometry.ts';
import { applyPolicy, ORIGINAL_POLICY } from './augment/policy.ts';
import { createRandom, type Random } from './augment/random.ts';
import { type DecodedImage, decodeImage } from './decode-image.ts';
import { type DecodeLimits, MAX_RESOLUTION } from './limits.ts';
import { normalize } from './normalize.ts';
import { resizeRgb } from './resize.ts';

/**
 * How training images are varied. 'original' is the research code's `use-augment`: a random resized crop, a flip,
 * AutoAugment's policy 'original', random erasing. 'basic' suits small pictures: a little shift and scale, a flip.
 */
export const AUGMENTATIONS = ['none', 'original', 'basic'] as const;
export type Augmentation = (typeof AUGMENTATIONS)[number];

export interface PreprocessOptions {
  /** 'none' by default. */
  readonly augmentation?: Augmentation | undefined;
  /** Of the augmentation's draws: an integer, of which the low 32 bits count. The same seed, the same result. */
  readonly seed?: number | undefined;
  readonly limits?: Partial<DecodeLimits> | undefined;
}

const FLIP_PROBABILITY = 0.5;
const ERASE_PROBABILITY = 0.5;

/**
 * An image file as a model's input: [3, resolution, resolution], resized without keeping the aspect, normalised.
 *
 * @throws InvalidInputError when the file cannot be decoded, see {@link decodeImage}.
 */
export async function preprocess(
  file: Uint8Array,
  resolution: number,
  { augmentation = 'none', seed = 0, limits }: PreprocessOptions = {},
): Promise<Float32Array<ArrayBuffer>> {
  requireResolution(resolution);
  const image = await decodeImage(file, limits);
  if (augmentation === 'none') return normalize(resizeRgb(image, resolution));
  return AUGMENT[augmentation](image, resolution, createRandom(seed));
}

/** @throws InvalidInputError */
export function requireResolution(resolution: number): void {
  if (!Number.isInteger(resolution) || resolution < 1 || resolution > MAX_RESOLUTION)
    throw new InvalidInputError(`${resolution} is not a whole number from 1 to ${MAX_RESOLUTION}`, {
      place: 'resolution',
    });
}

type Augment = (image: DecodedImage, resolution: number, random: Random) => Float32Array<ArrayBuffer>;

const AUGMENT: Readonly<Record<Exclude<Augmentation, 'none'>, Augment>> = {
  original(image, resolution, random) {
    const box = randomCrop(image.width, image.height, random);
    const resized = resizeRgb(image, resolution, resolution, box);
    const flipped = random.chance(FLIP_PROBABILITY) ? flipHorizontally(resized) : resized;
    const result = normalize(applyPolicy(flipped, ORIGINAL_POLICY, random));
    if (random.chance(ERASE_PROBABILITY)) eraseRandomly(result, resolution, resolution, random);
    return result;
  },
  basic(image, resolution, random) {
    const moved = shiftAndScale(resizeRgb(image, resolution), random);
    return normalize(random.chance(FLIP_PROBABILITY) ? flipHorizontally(moved) : moved);
  },
};
