import type { RgbImage } from '../resize.ts';
import { OPERATIONS, type Operation, type OperationName } from './operations.ts';
import type { Random } from './random.ts';

export interface Step {
  readonly name: OperationName;
  readonly probability: number;
  readonly magnitude: number;
}

export type SubPolicy = readonly [Step, Step];

const sub = (
  [name, probability, magnitude]: readonly [OperationName, number, number],
  [nextName, nextProbability, nextMagnitude]: readonly [OperationName, number, number],
): SubPolicy => [
  { name, probability, magnitude },
  { name: nextName, probability: nextProbability, magnitude: nextMagnitude },
];

/** AutoAugment's policy for ImageNet (Cubuk et al. 2019, table 9), which timm calls 'original'. */
export const ORIGINAL_POLICY: readonly SubPolicy[] = [
  sub(['PosterizeOriginal', 0.4, 8], ['Rotate', 0.6, 9]),
  sub(['Solarize', 0.6, 5], ['AutoContrast', 0.6, 5]),
  sub(['Equalize', 0.8, 8], ['Equalize', 0.6, 3]),
  sub(['PosterizeOriginal', 0.6, 7], ['PosterizeOriginal', 0.6, 6]),
  sub(['Equalize', 0.4, 7], ['Solarize', 0.2, 4]),
  sub(['Equalize', 0.4, 4], ['Rotate', 0.8, 8]),
  sub(['Solarize', 0.6, 3], ['Equalize', 0.6, 7]),
  sub(['PosterizeOriginal', 0.8, 5], ['Equalize', 1, 2]),
  sub(['Rotate', 0.2, 3], ['Solarize', 0.6, 8]),
  sub(['Equalize', 0.6, 8], ['PosterizeOriginal', 0.4, 6]),
  sub(['Rotate', 0.8, 8], ['Color', 0.4, 0]),
  sub(['Rotate', 0.4, 9], ['Equalize', 0.6, 2]),
  sub(['Equalize', 0, 7], ['Equalize', 0.8, 8]),
  sub(['Invert', 0.6, 4], ['Equalize', 1, 8]),
  sub(['Color', 0.6, 4], ['Contrast', 1, 8]),
  sub(['Rotate', 0.8, 8], ['Color', 1, 2]),
  sub(['Color', 0.8, 8], ['Solarize', 0.8, 7]),
  sub(['Sharpness', 0.4, 7], ['Invert', 0.6, 8]),
  sub(['ShearX', 0.6, 5], ['Equalize', 1, 9]),
  sub(['Color', 0.4, 0], ['Equalize', 0.6, 3]),
  sub(['Equalize', 0.4, 7], ['Solarize', 0.2, 4]),
  sub(['Solarize', 0.6, 5], ['AutoContrast', 0.6, 5]),
  sub(['Invert', 0.6, 4], ['Equalize', 1, 8]),
  sub(['Color', 0.6, 4], ['Contrast', 1, 8]),
  sub(['Equalize', 0.8, 8], ['Equalize', 0.6, 3]),
];

/** One sub-policy, drawn evenly; each of its two operations with its probability. */
export function applyPolicy(image: RgbImage, policy: readonly SubPolicy[], random: Random): RgbImage {
  const steps = policy[random.integer(0, policy.length - 1)] as SubPolicy;
  return steps.reduce((result, { name, probability, magnitude }) => {
    if (!random.chance(probability)) return result;
    const operation: Operation = OPERATIONS[name];
    const argument = operation.argument?.(magnitude) ?? 0;
    const sign = operation.isSigned && random.chance(0.5) ? -1 : 1;
    return operation.apply(result, sign * argument);
  }, image);
}
