import { type Box, shrinksRowsFirst } from './bicubic.ts';
import { bicubicTaps, type Taps } from './coefficients.ts';

/** Pillow's `resize(..., NEAREST)` of three-channel pixels: the source pixel under each output pixel's centre. */
export function resizeNearest(
  data: Uint8Array,
  sourceWidth: number,
  box: Box,
  width: number,
  height: number,
): Uint8Array {
  const columns = nearestPositions(box.width, width);
  const rows = nearestPositions(box.height, height);
  const result = new Uint8Array(width * height * 3);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = ((box.top + row) * sourceWidth + box.left + column) * 3;
      for (let channel = 0; channel < 3; channel++) result[to++] = data[from + channel] as number;
    }
  }
  return result;
}

/** Positions add up step by step, as Pillow's do: the rounding decides which pixel a centre on an edge falls in. */
function nearestPositions(inputSize: number, outputSize: number): number[] {
  const step = inputSize / outputSize;
  let position = step * 0.5;
  return Array.from({ length: outputSize }, () => {
    const pixel = Math.trunc(position);
    position += step;
    return Math.min(pixel, inputSize - 1);
  });
}

/**
 * 16-bit gray, resized with 16 bits between the passes, then converted as Pillow does: not scaled to 8 bits but cut
 * off at 255.
 */
export function resizeGray16(
  data: Uint16Array,
  sourceWidth: number,
  box: Box,
  width: number,
  height: number,
): Uint8Array {
  const gray = new Uint16Array(box.width * box.height);
  for (let row = 0; row < box.height; row++) {
    const from = (box.top + row) * sourceWidth + box.left;
    gray.set(data.subarray(from, from + box.width), row * box.width);
  }
  const horizontally = (source: Uint16Array, rows: number): Uint16Array =>
    box.width === width
      ? source
      : weigh(source, bicubicTaps(box.width, width), { lines: rows, lineStep: box.width, tapStep: 1 });
  const vertically = (source: Uint16Array, columns: number): Uint16Array =>
    box.height === height
      ? source
      : weigh(source, bicubicTaps(box.height, height), { lines: columns, lineStep: 1, tapStep: columns });
  const resized = shrinksRowsFirst(box, width, height)
    ? horizontally(vertically(gray, box.width), height)
    : vertically(horizontally(gray, box.height), width);
  return Uint8Array.from({ length: width * height * 3 }, (_, at) =>
    Math.min(255, resized[Math.floor(at / 3)] as number),
  );
}

/** One pass over every line of an image along one axis; the result keeps the layout (rows from the top). */
function weigh(
  source: Uint16Array,
  taps: readonly Taps[],
  { lines, lineStep, tapStep }: { lines: number; lineStep: number; tapStep: number },
): Uint16Array<ArrayBuffer> {
  const result = new Uint16Array(lines * taps.length);
  const alongRow = tapStep === 1;
  for (let line = 0; line < lines; line++) {
    taps.forEach(({ first, weights }, position) => {
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap++)
        sum += (source[line * lineStep + (first + tap) * tapStep] as number) * (weights[tap] as number);
      const to = alongRow ? line * taps.length + position : position * lines + line;
      result[to] = Math.min(65_535, Math.max(0, Math.round(sum)));
    });
  }
  return result;
}
