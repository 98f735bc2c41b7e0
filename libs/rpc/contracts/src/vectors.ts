import { endianness } from 'node:os';
import { InvalidInputError } from '@online-cnclip/foundation';
import { type Vector, VectorFormat } from './gen/onlinecnclip/common/v1/common.ts';

const BYTES_PER_NUMBER = Float32Array.BYTES_PER_ELEMENT;

/** A vector as a response carries it. The bytes may be a view of `values`: send it before changing them. */
export function toVector(
  values: Float32Array,
  format: VectorFormat = VectorFormat.VECTOR_FORMAT_FLOATS,
): Vector {
  if (format !== VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN)
    return { values: Array.from(values), littleEndian: Buffer.alloc(0) };
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return { values: [], littleEndian: endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32() };
}

/**
 * The numbers of a vector in either form; never a view of the message.
 *
 * @param dimension numbers it has to have, where the caller knows.
 * @throws InvalidInputError when it is empty, filled in both forms, not of whole numbers, or of another dimension.
 */
export function fromVector(vector: Vector, place: string, dimension?: number): Float32Array {
  const { values, littleEndian } = vector;
  if (values.length > 0 && littleEndian.length > 0)
    throw new InvalidInputError('values and little_endian are both set', { place });
  if (littleEndian.length % BYTES_PER_NUMBER !== 0)
    throw new InvalidInputError(`${littleEndian.length} bytes are not whole float32 numbers`, { place });
  const numbers = values.length > 0 ? Float32Array.from(values) : numbersOf(littleEndian);
  if (numbers.length === 0) throw new InvalidInputError('the vector is empty', { place });
  if (dimension !== undefined && numbers.length !== dimension)
    throw new InvalidInputError(`${numbers.length} numbers where ${dimension} are needed`, { place });
  return numbers;
}

function numbersOf(bytes: Uint8Array): Float32Array {
  // Copied first: a Buffer of a message may begin at an address that no Float32Array can.
  const copy = new Uint8Array(bytes);
  if (endianness() === 'BE') Buffer.from(copy.buffer).swap32();
  return new Float32Array(copy.buffer);
}
