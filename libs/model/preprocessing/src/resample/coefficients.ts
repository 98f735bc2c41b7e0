/** Where one output pixel takes its input from, as Pillow computes it: taps `first` to `first + weights.length`. */
export interface Taps {
  readonly first: number;
  /** Normalised: their sum is 1. */
  readonly weights: Float64Array;
}

/** Radius of the cubic, in input pixels where the image is enlarged. */
const CUBIC_RADIUS = 2;

/** Keys' cubic convolution (IEEE ASSP 29, 1981) with a = -0.5, as Pillow's `bicubic_filter`. */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/**
 * The taps of every output pixel along one axis. Antialiased: when the image shrinks, the cubic is stretched over the
 * input by the same factor.
 */
export function bicubicTaps(inputSize: number, outputSize: number): Taps[] {
  const scale = inputSize / outputSize;
  const filterScale = Math.max(scale, 1);
  const radius = CUBIC_RADIUS * filterScale;
  return Array.from({ length: outputSize }, (_, position) => {
    const center = (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - radius + 0.5));
    const end = Math.min(inputSize, Math.trunc(center + radius + 0.5));
    const weights = new Float64Array(end - first);
    let sum = 0;
    for (let tap = 0; tap < weights.length; tap++) {
      const weight = cubic((tap + first - center + 0.5) * (1 / filterScale));
      weights[tap] = weight;
      sum += weight;
    }
    for (let tap = 0; tap < weights.length; tap++) weights[tap] = (weights[tap] ?? 0) / sum;
    return { first, weights };
  });
}

/** Fraction bits of a fixed-point weight; Pillow's `PRECISION_BITS` (8 bits for a pixel, 2 for the overshoot). */
export const WEIGHT_BITS = 22;

/** Taps in the layout of kernel.wat: first, groups of four, weights as fixed-point integers, zeros to fill. */
export function kernelTable(taps: readonly Taps[]): Int32Array {
  const groupsOf = ({ weights }: Taps): number => Math.ceil(weights.length / 4);
  const table = new Int32Array(taps.reduce((size, tap) => size + 2 + 4 * groupsOf(tap), 0));
  let at = 0;
  for (const tap of taps) {
    table[at] = tap.first;
    table[at + 1] = groupsOf(tap);
    tap.weights.forEach((weight, index) => {
      table[at + 2 + index] = Math.trunc(weight * (1 << WEIGHT_BITS) + (weight < 0 ? -0.5 : 0.5));
    });
    at += 2 + 4 * groupsOf(tap);
  }
  return table;
}
