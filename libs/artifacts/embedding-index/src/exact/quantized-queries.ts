import { CODE_ZERO, type QuantizedBlock } from './quantized-block.ts';

/**
 * Rounding of the sums of bounds themselves, and of vectors whose length is one only to float32's precision.
 */
const SLACK = 1e-6;

/** Queries as a block's codes can be multiplied with: each number times the block's scale of its place, in bytes. */
export interface QuantizedQueries {
  readonly count: number;
  /** int8 `[dimension, queries]`. */
  readonly codes: Int8Array;
  /** A score is about `factors[q] * (product - zeros[q])`. */
  readonly factors: Float64Array;
  readonly zeros: Float64Array;
  /** How far the score of a query and any row of the block may be from that. */
  readonly errors: Float64Array;
}

/**
 * The score of query q and row x is q·x = q·x̂ + q·(x - x̂), where x̂ is what the row's codes c and the scales s stand for, and
 * q·x̂ = (q∘s)·c. With q∘s in codes k, this is f k·c + (q∘s - f k)·c: what is left out is at most
 * |x - x̂| + |q∘s - f k| |c|, by Cauchy and Schwarz.
 *
 * @param queries float32 `[queries, stride]`, each of length 1.
 * @param maxCode largest absolute code.
 */
export function quantizeQueries(
  queries: Float32Array,
  stride: number,
  { scales, maxError, maxCodeLength }: QuantizedBlock,
  maxCode: number,
): QuantizedQueries {
  const count = queries.length / stride;
  const dimension = scales.length;
  const codes = new Int8Array(dimension * count);
  const factors = new Float64Array(count);
  const zeros = new Float64Array(count);
  const errors = new Float64Array(count);
  for (let q = 0; q < count; q++) {
    let largest = 0;
    for (let d = 0; d < dimension; d++)
      largest = Math.max(largest, Math.abs((queries[q * stride + d] as number) * (scales[d] as number)));
    const factor = largest / maxCode || 1;
    let sum = 0;
    let squares = 0;
    for (let d = 0; d < dimension; d++) {
      const value = (queries[q * stride + d] as number) * (scales[d] as number);
      const code = Math.round(value / factor);
      codes[d * count + q] = code;
      sum += code;
      squares += (value - factor * code) ** 2;
    }
    factors[q] = factor;
    zeros[q] = CODE_ZERO * sum;
    errors[q] = maxError + Math.sqrt(squares) * maxCodeLength + SLACK;
  }
  return { count, codes, factors, zeros, errors };
}

/** The score of a query and what a row's codes stand for: within `maxError` of the exact one, up to rounding. */
export function scoreOfCodes(
  { codes, scales, firstRow }: QuantizedBlock,
  row: number,
  query: Float32Array,
): number {
  const dimension = scales.length;
  const at = (row - firstRow) * dimension;
  let sum = 0;
  for (let d = 0; d < dimension; d++)
    sum += (query[d] as number) * (scales[d] as number) * ((codes[at + d] as number) - CODE_ZERO);
  return sum;
}

/** Bound of what {@link scoreOfCodes} leaves out. */
export const errorOfCodes = ({ maxError }: QuantizedBlock): number => maxError + SLACK;
