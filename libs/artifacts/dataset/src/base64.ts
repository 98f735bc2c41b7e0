/** Decoded here when only the validity is asked for; grows to the largest value seen. */
let scratch = Buffer.allocUnsafeSlow(64 * 1024);
/** Above this, validity is checked in memory that is given back. */
const MAX_SCRATCH_BYTES = 8 * 1024 * 1024;
const EQUALS = 0x3d;

/**
 * Bytes of a base64 text, URL-safe alphabet or not, padded, as Python's `urlsafe_b64decode` takes it; unlike Python,
 * which skips them, no other character is allowed.
 *
 * @returns undefined when the text is not that, or empty.
 */
export function decodeBase64(text: Buffer): Buffer | undefined {
  const bytes = decodedBytes(text);
  if (bytes === undefined) return undefined;
  const target = Buffer.allocUnsafe(bytes);
  return decodeInto(target, text) === bytes ? target : undefined;
}

/** Whether {@link decodeBase64} gives bytes. */
export function isBase64(text: Buffer): boolean {
  const bytes = decodedBytes(text);
  if (bytes === undefined) return false;
  if (bytes > MAX_SCRATCH_BYTES) return decodeBase64(text) !== undefined;
  if (bytes > scratch.length) scratch = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * scratch.length));
  return decodeInto(scratch, text) === bytes;
}

/** URL-safe base64 with padding, as Python's `urlsafe_b64encode` writes it. */
export function encodeBase64(bytes: Uint8Array): string {
  const unpadded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
  return unpadded + '='.repeat((4 - (unpadded.length % 4)) % 4);
}

/** Node skips what is not of the alphabet and stops at padding, so a text with either inside decodes to fewer bytes. */
function decodeInto(target: Buffer, text: Buffer): number {
  return target.write(text.toString('latin1'), 'base64url');
}

function decodedBytes(text: Buffer): number | undefined {
  if (text.length === 0 || text.length % 4 !== 0) return undefined;
  const padding = text[text.length - 1] !== EQUALS ? 0 : text[text.length - 2] !== EQUALS ? 1 : 2;
  return (text.length / 4) * 3 - padding;
}
