import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import sharp from 'sharp';
import {
  decodeImage,
  type ImageMode,
  MAX_DECODE_BYTES,
  MAX_IMAGE_PIXELS,
  MAX_RESOLUTION,
  preprocess,
  resizeRgb,
} from './index.ts';
import {
  type Difference,
  difference,
  readGolden,
  readGoldenJson,
  readGoldenTensors,
} from './testing/goldens.ts';

/** In levels. Measured: 0 in every mode, against Pillow 13. */
const PHOTO_TOLERANCE: Difference = { mean: 0.01, max: 1 };

/**
 * Older releases of Pillow and of the decoders differ by a rounding here and there; nothing that is worse than that
 * passes. A palette or bilevel image taken from the wrong pixel differs by far more.
 */
const TOLERANCES: Readonly<Record<ImageMode, Difference>> = {
  RGB: PHOTO_TOLERANCE,
  L: PHOTO_TOLERANCE,
  LA: PHOTO_TOLERANCE,
  RGBA: PHOTO_TOLERANCE,
  CMYK: PHOTO_TOLERANCE,
  P: { mean: 0, max: 0 },
  '1': { mean: 0, max: 0 },
  'I;16': PHOTO_TOLERANCE,
};

const modes = readGoldenJson<Record<string, ImageMode>>('preprocessing/modes.json');

describe('golden images', () => {
  for (const [name, { shape, bytes }] of readGoldenTensors('preprocessing/expected-224x224-rgb.safetensors'))
    it(`${name} is Pillow's`, async () => {
      const image = await decodeImage(readGolden(`preprocessing/${name}`));
      const mode = modes[name] as ImageMode;
      assert.equal(image.mode, mode);
      const [height, width] = shape as [number, number];
      const { mean, max } = difference(resizeRgb(image, width, height).data, bytes);
      const tolerance = TOLERANCES[mode];
      assert.ok(mean <= tolerance.mean && max <= tolerance.max, `mean ${mean}, max ${max}`);
    });

  it('normalises as torchvision does', async () => {
    const tensors = readGoldenTensors('preprocessing/expected-photo-normalized-chw.safetensors');
    assert.ok(tensors.size > 0);
    for (const [name, { shape, bytes }] of tensors) {
      const expected = new Float32Array(Uint8Array.from(bytes).buffer);
      const actual = await preprocess(readGolden(`preprocessing/${name}`), shape[1] as number);
      assert.equal(actual.length, expected.length);
      const worst = expected.reduce(
        (most, value, at) => Math.max(most, Math.abs(value - (actual[at] as number))),
        0,
      );
      assert.ok(worst <= 1e-6, `${worst}`);
    }
  });
});

describe('bad files', () => {
  const reasons: Readonly<Record<string, RegExp>> = {
    'truncated.jpg': /cannot be decoded as JPEG/,
    'html-not-image.jpg': /is none of jpeg, png, gif, webp/,
    'empty.jpg': /is empty/,
    'header-only.png': /ends within its header|cannot be decoded|IHDR/,
    'bomb-30000x30000.png': /is 30000 x 30000 pixels/,
  };
  for (const [name, reason] of Object.entries(reasons))
    it(`refuses ${name}`, async () => {
      await assert.rejects(decodeImage(readGolden(`preprocessing/bad/${name}`)), (error) => {
        assert.ok(error instanceof InvalidInputError);
        assert.equal(error.place, error.message.startsWith('PNG') ? 'PNG image' : 'image');
        assert.match(error.message, reason);
        return true;
      });
    });

  it('refuses a picture of a kind that is not accepted', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>');
    const tiff = Buffer.from('II*\0\x08\0\0\0', 'latin1');
    for (const file of [svg, tiff, Buffer.from('BM'), Buffer.alloc(100)])
      await assert.rejects(decodeImage(file), /is none of/);
  });

  it('refuses any image that stops short', async () => {
    for (const name of Object.keys(modes)) {
      const file = readGolden(`preprocessing/${name}`);
      for (const length of [1, 8, 13, 20, Math.floor(file.length / 3), Math.floor(file.length * 0.7)])
        await assert.rejects(
          decodeImage(file.subarray(0, length)),
          InvalidInputError,
          `${name} cut to ${length} of ${file.length}`,
        );
    }
  });

  it('keeps to the limits it is given', async () => {
    const photo = readGolden('preprocessing/photo.jpg');
    const { width, height } = await decodeImage(photo);
    await assert.rejects(decodeImage(photo, { maxBytes: photo.length - 1 }), /bytes long/);
    await assert.rejects(decodeImage(photo, { maxPixels: width * height - 1 }), /pixels/);
    await assert.rejects(decodeImage(photo, { maxSide: Math.max(width, height) - 1 }), /pixels/);
    await decodeImage(photo, { maxBytes: photo.length, maxPixels: width * height });
    for (const resolution of [0, 1.5, MAX_RESOLUTION + 1])
      await assert.rejects(preprocess(photo, resolution), InvalidInputError);
  });
});

describe('memory of decoding', () => {
  /** Nothing but a head that claims a size: a limit that is judged later finds no picture. */
  const claimed = (width: number, height: number, head: Buffer, widthAt: number): Buffer => {
    const file = Buffer.from(head);
    const isGif = head.toString('latin1', 0, 3) === 'GIF';
    if (isGif) file.writeUInt16LE(width, widthAt);
    else file.writeUInt32BE(width, widthAt);
    if (isGif) file.writeUInt16LE(height, widthAt + 2);
    else file.writeUInt32BE(height, widthAt + 4);
    return file;
  };
  const picture = sharp({ create: { width: 4, height: 4, channels: 4, background: '#80a0c0' } });

  it('is bounded by what each kind of image takes for a pixel', async () => {
    const gif = await picture.clone().gif().toBuffer();
    const rgba = await picture.clone().png().toBuffer();
    const rgb = await picture.clone().removeAlpha().png().toBuffer();
    const wholePixels = Math.floor(MAX_DECODE_BYTES / 10);
    for (const [head, widthAt, most] of [
      [gif, 6, wholePixels],
      [rgba, 16, wholePixels],
      [rgb, 16, MAX_IMAGE_PIXELS],
    ] as const) {
      const height = Math.floor(most / 60_000);
      await assert.rejects(decodeImage(claimed(60_000, height + 1, head, widthAt)), /pixels/);
      // Within the limit the head is believed, and then found to be no right one.
      if (head !== gif)
        await assert.rejects(decodeImage(claimed(60_000, height, head, widthAt)), /cannot be decoded/);
    }
  });
});

describe('augmented images', () => {
  const photo = readGolden('preprocessing/photo.jpg');
  for (const augmentation of ['original', 'basic'] as const)
    it(`'${augmentation}' follows its seed`, async () => {
      const plain = await preprocess(photo, 32);
      const variants = await Promise.all(
        [1, 1, 2, 3, 4, 5].map((seed) => preprocess(photo, 32, { augmentation, seed })),
      );
      assert.deepEqual(variants[0], variants[1]);
      const distinct = new Set([plain, ...variants].map((values) => values.join()));
      assert.equal(distinct.size, 6);
      for (const values of variants) assert.ok(values.every((value) => Number.isFinite(value)));
    });
});
