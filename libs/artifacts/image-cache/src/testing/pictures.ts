import { createHash } from 'node:crypto';
import sharp from 'sharp';
import type { NewImage } from '../outcome.ts';
import { perceptualSignature } from '../signature.ts';

/** A picture that differs from that of any other seed in shapes and colours: blocks of 28 pixels. */
export async function drawPicture(seed: number, quality = 90): Promise<Buffer> {
  const blocks = createHash('sha512').update(`picture ${seed}`).digest();
  const pixels = Buffer.concat([blocks, blocks, blocks]).subarray(0, 8 * 8 * 3);
  return sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } })
    .resize(224, 224, { kernel: 'cubic' })
    .jpeg({ quality })
    .toBuffer();
}

export async function makeImage(seed: number, changes: Partial<NewImage> = {}): Promise<NewImage> {
  const jpeg = changes.jpeg ?? (await drawPicture(seed));
  return {
    jpeg,
    sourceUrl: `http://127.0.0.1/${seed}.jpg`,
    pageUrl: 'http://127.0.0.1/search',
    sourceSha256: createHash('sha256').update(jpeg).digest(),
    signature: await perceptualSignature(jpeg),
    rank: seed,
    sessionId: 7n,
    fetchedAt: new Date(1_700_000_000_000 + seed),
    ...changes,
  };
}
