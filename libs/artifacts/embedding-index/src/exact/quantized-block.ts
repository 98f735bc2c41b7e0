/** Codes of a block: enough rows that a call of the matrix product is worth making, few enough that it is a short turn. */
const BLOCK_BYTES = 4 * 1024 * 1024;
const ROWS_STEP = 64;
const MAX_ROWS = 8_192;

/** Codes lie around this: 1 to 255 for -127 to 127. */
export const CODE_ZERO = 128;
const MAX_CODE = 127;

/** Rows that are quantised together. */
export function rowsPerQuantizedBlock(dimension: number): number {
  const rows = Math.floor(BLOCK_BYTES / dimension);
  return Math.min(MAX_ROWS, Math.max(ROWS_STEP, rows - (rows % ROWS_STEP)));
}

/**
 * Rows as bytes: number d of a row is about `scales[d] * (codes[d] - CODE_ZERO)`. How far each may be off is known, so that
 * scores by the codes bound the exact ones.
 */
export interface QuantizedBlock {
  readonly firstRow: number;
  readonly count: number;
  /** uint8 `[count, dimension]`. */
  readonly codes: Uint8Array;
  /** float32 `[dimension]`: numbers of the same place are of one size, those of different places need not be. */
  readonly scales: Float32Array;
  /** Greatest Euclidean distance between a row and what its codes stand for. */
  readonly maxError: number;
  /** Greatest Euclidean length of a row's `codes - CODE_ZERO`. */
  readonly maxCodeLength: number;
}

/** @param rows float32 `[count, stride]`, of which the first `dimension` numbers of each row count. */
export function quantize(
  rows: Float32Array,
  {
    firstRow,
    count,
    stride,
    dimension,
  }: { firstRow: number; count: number; stride: number; dimension: number },
): QuantizedBlock {
  const scales = scalesOf(rows, count, stride, dimension);
  const inverses = Float64Array.from(scales, (scale) => (scale === 0 ? 0 : 1 / scale));
  const codes = new Uint8Array(count * dimension);
  let maxError = 0;
  let maxCodeLength = 0;
  for (let row = 0; row < count; row++) {
    const from = row * stride;
    const to = row * dimension;
    let error = 0;
    let length = 0;
    for (let d = 0; d < dimension; d++) {
      const value = rows[from + d] as number;
      // Rounds, since what is cut off is positive; within 1 to 255, since no value is beyond its scale's.
      const code = (value * (inverses[d] as number) + CODE_ZERO + 0.5) | 0;
      codes[to + d] = code;
      const centred = code - CODE_ZERO;
      const left = value - (scales[d] as number) * centred;
      error += left * left;
      length += centred * centred;
    }
    if (error > maxError) maxError = error;
    if (length > maxCodeLength) maxCodeLength = length;
  }
  return {
    firstRow,
    count,
    codes,
    scales,
    maxError: Math.sqrt(maxError),
    maxCodeLength: Math.sqrt(maxCodeLength),
  };
}

/** The largest number of each place goes to the largest code; a place that is zero throughout has scale zero. */
function scalesOf(rows: Float32Array, count: number, stride: number, dimension: number): Float32Array {
  const scales = new Float32Array(dimension);
  for (let row = 0; row < count; row++) {
    const from = row * stride;
    for (let d = 0; d < dimension; d++) {
      const value = rows[from + d] as number;
      const size = value < 0 ? -value : value;
      if (size > (scales[d] as number)) scales[d] = size;
    }
  }
  for (let d = 0; d < dimension; d++) scales[d] = (scales[d] as number) / MAX_CODE;
  return scales;
}
