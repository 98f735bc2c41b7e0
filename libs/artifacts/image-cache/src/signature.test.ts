import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import sharp from 'sharp';
import { looksAlike, perceptualSignature } from './signature.ts';
import { drawPicture } from './testing/pictures.ts';

describe('perceptual signature', () => {
  it('is alike for one picture in several qualities and scales', async () => {
    const original = await perceptualSignature(await drawPicture(1));
    for (const quality of [40, 70, 100])
      assert.ok(looksAlike(original, await perceptualSignature(await drawPicture(1, quality))));
    const larger = await sharp(await drawPicture(1))
      .resize(600, 400, { fit: 'fill' })
      .webp()
      .toBuffer();
    assert.ok(looksAlike(original, await perceptualSignature(larger)));
  });

  it('differs between pictures', async () => {
    const signatures = await Promise.all(
      Array.from({ length: 60 }, async (_, seed) => perceptualSignature(await drawPicture(seed))),
    );
    for (const [i, a] of signatures.entries())
      for (const b of signatures.slice(i + 1)) assert.ok(!looksAlike(a, b));
  });

  it('differs between one shape in two colours, and knows nothing of other bytes', async () => {
    const inColor = (background: string) =>
      sharp({ create: { width: 300, height: 300, channels: 3, background } })
        .png()
        .toBuffer();
    const red = await perceptualSignature(await inColor('#c03030'));
    assert.ok(!looksAlike(red, await perceptualSignature(await inColor('#3030c0'))));
    assert.ok(!looksAlike(Buffer.alloc(0), Buffer.alloc(0)));
  });
});
