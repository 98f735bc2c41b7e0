import sharp from 'sharp';

/** Side of the gray picture whose neighbouring columns are compared. */
const GRADIENT_SIDE = 16;

/** Side of the small colour picture. */
const COLOR_SIDE = 4;

/** Gray levels by which a pixel must be brighter than its neighbour: JPEG's noise in flat areas stays below. */
const GRADIENT_MARGIN = 3;

/** Of 256: copies of one picture that were scaled or compressed again differ in fewer, other pictures in more. */
const MAX_GRADIENT_BITS = 12;

/** Levels in any of the small picture's values; a shop shows the same shirt in two colours as two pictures. */
const MAX_COLOR_LEVELS = 12;

const GRADIENT_BYTES = (GRADIENT_SIDE * GRADIENT_SIDE) / 8;
const SIGNATURE_BYTES = GRADIENT_BYTES + COLOR_SIDE * COLOR_SIDE * 3;

/**
 * What a picture looks like in 80 bytes: one bit per pixel of 16 x 16 (brighter than its right neighbour: a difference
 * hash), then its colours at 4 x 4.
 */
export async function perceptualSignature(image: Uint8Array): Promise<Buffer> {
  const picture = sharp(image);
  const scaled = (width: number, height: number) =>
    picture.clone().resize(width, height, { fit: 'fill', kernel: 'lanczos3', fastShrinkOnLoad: false });
  const [gray, color] = await Promise.all([
    scaled(GRADIENT_SIDE + 1, GRADIENT_SIDE)
      .removeAlpha()
      .grayscale()
      .raw()
      .toBuffer(),
    scaled(COLOR_SIDE, COLOR_SIDE).removeAlpha().toColourspace('srgb').raw().toBuffer(),
  ]);
  return Buffer.concat([gradientBits(gray), color], SIGNATURE_BYTES);
}

/** Whether two signatures are those of one picture, up to its scale and compression. */
export function looksAlike(a: Buffer, b: Buffer): boolean {
  if (a.length !== SIGNATURE_BYTES || b.length !== SIGNATURE_BYTES) return false;
  let bits = 0;
  for (let i = 0; i < GRADIENT_BYTES; i += 1) bits += countBits((a[i] as number) ^ (b[i] as number));
  if (bits > MAX_GRADIENT_BITS) return false;
  for (let i = GRADIENT_BYTES; i < SIGNATURE_BYTES; i += 1)
    if (Math.abs((a[i] as number) - (b[i] as number)) > MAX_COLOR_LEVELS) return false;
  return true;
}

function gradientBits(gray: Buffer): Buffer {
  const bits = Buffer.alloc(GRADIENT_BYTES);
  for (let row = 0; row < GRADIENT_SIDE; row += 1)
    for (let column = 0; column < GRADIENT_SIDE; column += 1) {
      const at = row * (GRADIENT_SIDE + 1) + column;
      if ((gray[at] as number) < (gray[at + 1] as number) + GRADIENT_MARGIN) continue;
      const bit = row * GRADIENT_SIDE + column;
      bits[bit >> 3] = (bits[bit >> 3] as number) | (1 << (bit & 7));
    }
  return bits;
}

function countBits(byte: number): number {
  let count = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) count += 1;
  return count;
}
