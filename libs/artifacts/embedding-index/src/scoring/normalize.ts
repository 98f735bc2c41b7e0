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
  let squares = 0;
  for (let i = 0; i < dimension; i++) squares += (vector[i] as number) ** 2;
  if (!Number.isFinite(squares)) {
    const at = vector.findIndex((value) => !Number.isFinite(value));
    throw new InvalidInputError(`number ${at} of the vector is ${vector[at]}`, { place });
  }
  if (squares === 0) throw new InvalidInputError('the vector is zero: it has no direction', { place });
  const length = Math.abs(squares - 1) <= UNIT_TOLERANCE ? 1 : Math.sqrt(squares);
  for (let i = 0; i < dimension; i++) target[offset + i] = (vector[i] as number) / length;
}
