import { InvalidInputError } from '@online-cnclip/foundation';

/**
 * Rounding to float32 moves the squared length of a unit vector by at most 1.2e-7. Within this, a vector is taken as it
 * is: normalising twice, or loading what was saved, changes no bit.
 */
const UNIT_TOLERANCE = 2.5e-7;

/**
 * A copy of Euclidean length 1.
 *
 * @param place what an error names.
 * @param dimension numbers it has to have, where the caller knows.
 * @throws InvalidInputError for a wrong dimension, all zeros, NaN or infinity.
 */
export function normalize(vector: Float32Array, place: string, dimension = vector.length): Float32Array {
  const target = new Float32Array(vector.length);
  normalizeInto(target, 0, vector, place, dimension);
  return target;
}

/** The same into a place of a larger array; nothing is written when the vector is refused. */
export function normalizeInto(
  target: Float32Array,
  offset: number,
  vector: Float32Array,
  place: string,
  dimension: number,
): void {
  if (vector.length !== dimension)
    throw new InvalidInputError(`${vector.length} numbers where ${dimension} are needed`, { place });
  const squares = squaredLength(vector);
  if (!Number.isFinite(squares)) {
    const at = vector.findIndex((value) => !Number.isFinite(value));
    throw new InvalidInputError(`number ${at} of the vector is ${vector[at]}`, { place });
  }
  if (squares === 0) throw new InvalidInputError('the vector is zero: it has no direction', { place });
  if (Math.abs(squares - 1) <= UNIT_TOLERANCE) {
    target.set(vector, offset);
    return;
  }
  const length = Math.sqrt(squares);
  for (let i = 0; i < dimension; i++) target[offset + i] = (vector[i] as number) / length;
}

/** In double precision. Four sums, since one would wait for each addition. */
function squaredLength(vector: Float32Array): number {
  const whole = vector.length - (vector.length % 4);
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    a += (vector[i] as number) ** 2;
    b += (vector[i + 1] as number) ** 2;
    c += (vector[i + 2] as number) ** 2;
    d += (vector[i + 3] as number) ** 2;
  }
  for (let i = whole; i < vector.length; i++) a += (vector[i] as number) ** 2;
  return a + b + (c + d);
}
