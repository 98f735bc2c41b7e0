import { createHash, type Hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { NamedArrays, NdArray } from '@online-cnclip/foundation';

export interface FingerprintParts {
  readonly parameters: NamedArrays;
  /** Everything else that a vector depends on (vocabulary, preprocessing, precision), as stable text by name. */
  readonly constants: Readonly<Record<string, string>>;
}

/** Hashed in one go; keeps the event loop free for calls while a large model is loaded beside a serving one. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** @returns SHA-256 in lower-case hexadecimal; does not depend on the order of tensors or constants. */
export async function computeFingerprint({ parameters, constants }: FingerprintParts): Promise<string> {
  const hash = createHash('sha256');
  for (const name of Object.keys(constants).sort()) hash.update(JSON.stringify([name, constants[name]]));
  for (const name of [...parameters.keys()].sort())
    await hashTensor(hash, name, parameters.get(name) as NdArray);
  return hash.digest('hex');
}

async function hashTensor(hash: Hash, name: string, { dtype, shape, data }: NdArray): Promise<void> {
  hash.update(JSON.stringify([name, dtype, shape]));
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    hash.update(bytes.subarray(start, start + CHUNK_BYTES));
    if (start > 0) await nextTurn();
  }
}
