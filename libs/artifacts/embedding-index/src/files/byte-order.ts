import { endianness } from 'node:os';
import { UnsupportedError } from '@online-cnclip/foundation';

/** The files here are little-endian and read straight into typed arrays. @throws UnsupportedError elsewhere. */
export function requireLittleEndian(): void {
  if (endianness() !== 'LE')
    throw new UnsupportedError('big-endian machines cannot read or write these files');
}

/** The bytes of numbers, without a copy. */
export function bytesOf(numbers: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}
