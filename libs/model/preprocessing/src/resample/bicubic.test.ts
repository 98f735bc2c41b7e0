import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type Box, resizeBicubic, shrinksRowsFirst } from './bicubic.ts';
import { bicubicTaps, type Taps, WEIGHT_BITS } from './coefficients.ts';
import { KERNEL_SOURCE_SHA256 } from './kernel-binary.ts';

/** The same arithmetic, plainly: one pass along one axis of [lines, taps, channels] or [taps, lines, channels]. */
function pass(
  source: Uint8Array,
  taps: readonly Taps[],
  layout: { lines: number; channels: number; lineStep: number; tapStep: number; alongRow: boolean },
): Uint8Array {
  const { lines, channels, lineStep, tapStep, alongRow } = layout;
  const result = new Uint8Array(lines * taps.length * channels);
  for (let line = 0; line < lines; line++)
    taps.forEach(({ first, weights }, position) => {
      for (let channel = 0; channel < channels; channel++) {
        let sum = 2 ** (WEIGHT_BITS - 1);
        weights.forEach((weight, tap) => {
          const fixed = Math.trunc(weight * 2 ** WEIGHT_BITS + Math.sign(weight) * 0.5);
          sum += fixed * (source[line * lineStep + (first + tap) * tapStep + channel] as number);
        });
        const pixel = alongRow ? line * taps.length + position : position * lines + line;
        result[pixel * channels + channel] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** WEIGHT_BITS)));
      }
    });
  return result;
}

function reference(data: Uint8Array, channels: number, box: Box, width: number, height: number): Uint8Array {
  const horizontal = (source: Uint8Array, rows: number): Uint8Array =>
    box.width === width
      ? source
      : pass(source, bicubicTaps(box.width, width), {
          lines: rows,
          channels,
          lineStep: box.width * channels,
          tapStep: channels,
          alongRow: true,
        });
  const vertical = (source: Uint8Array, columns: number): Uint8Array =>
    box.height === height
      ? source
      : pass(source, bicubicTaps(box.height, height), {
          lines: columns,
          channels,
          lineStep: channels,
          tapStep: columns * channels,
          alongRow: false,
        });
  return shrinksRowsFirst(box, width, height)
    ? horizontal(vertical(data, box.width), height)
    : vertical(horizontal(data, box.height), width);
}

function noise(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

function cropOf(data: Uint8Array, rowPixels: number, channels: number, box: Box): Uint8Array {
  const rows = Array.from({ length: box.height }, (_, row) => {
    const start = ((box.top + row) * rowPixels + box.left) * channels;
    return data.subarray(start, start + box.width * channels);
  });
  return Uint8Array.from(Buffer.concat(rows));
}

describe('bicubic kernel', () => {
  it('is built from its source', () => {
    const source = readFileSync(new URL('kernel.wat', import.meta.url));
    assert.equal(createHash('sha256').update(source).digest('hex'), KERNEL_SOURCE_SHA256);
  });

  const sizes: [width: number, height: number, toWidth: number, toHeight: number][] = [
    [1, 1, 5, 7],
    [3, 2, 8, 8],
    [40, 60, 48, 48],
    [48, 90, 48, 48],
    [90, 48, 48, 48],
    [130, 70, 48, 48],
    [70, 400, 48, 48],
    [48, 48, 48, 48],
    [33, 500, 17, 5],
    [500, 3, 17, 5],
    [9000, 40, 16, 16],
  ];
  for (const [width, height, toWidth, toHeight] of sizes)
    for (const channels of [3, 4] as const)
      it(`${width}x${height}x${channels} to ${toWidth}x${toHeight} is the plain arithmetic's result`, () => {
        const data = noise(width * height * channels, width + height);
        const whole = { left: 0, top: 0, width, height };
        const part = {
          left: Math.floor(width / 5),
          top: Math.floor(height / 4),
          width: Math.ceil(width / 2),
          height: Math.ceil(height / 3),
        };
        for (const box of [whole, part]) {
          const actual = resizeBicubic({ width, height, channels, data }, toWidth, toHeight, box);
          const source = cropOf(data, width, channels, box);
          assert.deepEqual(actual, reference(source, channels, box, toWidth, toHeight));
        }
      });

  it('takes a tall image in strips of columns', () => {
    const [width, height] = [50, 65_000];
    const data = noise(width * height * 4, 7);
    const box = { left: 0, top: 0, width, height };
    const actual = resizeBicubic({ width, height, channels: 4, data }, 16, 16, box);
    assert.deepEqual(actual, reference(data, 4, box, 16, 16));
  });
});
