import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import sharp from 'sharp';
import { IMAGE_FORMATS, readImageHeader } from './image-header.ts';

const [width, height] = [37, 21];

const picture = (channels: 3 | 4) =>
  sharp({ create: { width, height, channels, background: { r: 200, g: 100, b: 50, alpha: 0.5 } } });

describe('image headers', () => {
  it('tells format, size and mode', async () => {
    const gray = picture(3).toColourspace('b-w');
    const files = {
      'jpeg RGB': picture(3).jpeg(),
      'jpeg L': gray.clone().jpeg(),
      'jpeg CMYK': picture(3).toColourspace('cmyk').jpeg(),
      'png RGB': picture(3).png(),
      'png RGBA': picture(4).png(),
      'png L': gray.clone().png(),
      'png P': picture(3).png({ palette: true, colours: 200, dither: 0 }),
      'gif P': picture(3).gif(),
      'webp undefined': picture(3).webp(),
    };
    for (const [kind, file] of Object.entries(files)) {
      const header = readImageHeader(await file.toBuffer());
      assert.equal(`${header.format} ${header.mode}`, kind);
      assert.deepEqual([header.width, header.height], [width, height], kind);
    }
    for (const options of [{ lossless: true }, { quality: 50 }, { quality: 50, alphaQuality: 10 }]) {
      const header = readImageHeader(await picture(4).webp(options).toBuffer());
      assert.deepEqual([header.width, header.height], [width, height]);
    }
  });

  it('tells what is decoded row by row from what is held whole', async () => {
    const rows = [picture(3).jpeg(), picture(3).png(), picture(3).png({ palette: true })];
    const whole = [
      picture(3).jpeg({ progressive: true }),
      picture(3).toColourspace('cmyk').jpeg(),
      picture(4).png(),
      picture(3).png({ progressive: true }),
      picture(3).toColourspace('rgb16').png(),
      picture(3).webp(),
      picture(3).gif(),
    ];
    for (const [files, decoding] of [
      [rows, 'rows'],
      [whole, 'whole'],
    ] as const)
      for (const [i, file] of files.entries())
        assert.equal(readImageHeader(await file.toBuffer()).decoding, decoding, `${decoding} ${i}`);
  });

  it('refuses what is cut or made up, whatever follows the first bytes', async () => {
    for (const format of IMAGE_FORMATS) {
      const file = await picture(3).toFormat(format).toBuffer();
      for (let length = 0; length < 26; length++)
        try {
          readImageHeader(file.subarray(0, length));
        } catch (error) {
          assert.ok(error instanceof InvalidInputError, `${format} ${length}: ${error}`);
        }
      const noise = Buffer.from(file);
      for (let at = 12; at < noise.length; at++) noise[at] = (at * 131) & 0xff;
      try {
        readImageHeader(noise);
      } catch (error) {
        assert.ok(error instanceof InvalidInputError, `${format}: ${error}`);
      }
    }
  });
});
