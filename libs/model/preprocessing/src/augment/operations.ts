import type { RgbImage } from '../resize.ts';
import { rotate, transformAffine } from './affine.ts';
import * as levels from './levels.ts';

/** ImageNet's mean colour in levels, as in the reference: what a moved image leaves uncovered. */
const FILL = [124, 116, 104] as const;

/**
 * One of AutoAugment's operations (Cubuk et al. 2019), with timm's scales of magnitude (0 to 10).
 *
 * `argument` is the operation's strength at a magnitude; where `isSigned`, its sign is drawn.
 */
export interface Operation {
  readonly isSigned?: true;
  argument?(magnitude: number): number;
  apply(image: RgbImage, argument: number): RgbImage;
}

const enhancement = (magnitude: number): number => (magnitude / 10) * 1.8 + 0.1;
const shearing = (magnitude: number): number => (magnitude / 10) * 0.3;
const shifting = (magnitude: number): number => (magnitude / 10) * 0.45;

export const OPERATIONS = {
  AutoContrast: { apply: levels.autoContrast },
  Equalize: { apply: levels.equalize },
  Invert: { apply: levels.invert },
  Rotate: {
    isSigned: true,
    argument: (magnitude) => (magnitude / 10) * 30,
    apply: (image, degrees) => rotate(image, degrees, FILL),
  },
  /** The paper's scale: keeps 4 bits at 0, all 8 at 10. */
  PosterizeOriginal: {
    argument: (magnitude) => Math.trunc((magnitude / 10) * 4) + 4,
    apply: (image, bits) => (bits >= 8 ? image : levels.posterize(image, bits)),
  },
  Solarize: {
    argument: (magnitude) => Math.min(256, Math.trunc((magnitude / 10) * 256)),
    apply: levels.solarize,
  },
  SolarizeAdd: {
    argument: (magnitude) => Math.min(128, Math.trunc((magnitude / 10) * 110)),
    apply: levels.solarizeAdd,
  },
  Color: { argument: enhancement, apply: levels.color },
  Contrast: { argument: enhancement, apply: levels.contrast },
  Brightness: { argument: enhancement, apply: levels.brightness },
  Sharpness: { argument: enhancement, apply: levels.sharpness },
  ShearX: {
    isSigned: true,
    argument: shearing,
    apply: (image, share) => transformAffine(image, [1, share, 0, 0, 1, 0], FILL),
  },
  ShearY: {
    isSigned: true,
    argument: shearing,
    apply: (image, share) => transformAffine(image, [1, 0, 0, share, 1, 0], FILL),
  },
  TranslateXRel: {
    isSigned: true,
    argument: shifting,
    apply: (image, share) => transformAffine(image, [1, 0, share * image.width, 0, 1, 0], FILL),
  },
  TranslateYRel: {
    isSigned: true,
    argument: shifting,
    apply: (image, share) => transformAffine(image, [1, 0, 0, 0, 1, share * image.height], FILL),
  },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;
