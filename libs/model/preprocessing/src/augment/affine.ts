import type { RgbImage } from '../resize.ts';

/** From an output pixel's centre (x, y) to the input: (a x + b y + c, d x + e y + f), in pixels. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** What is outside the image: one colour, or the nearest pixel of its edge. */
export type Outside = readonly [number, number, number] | 'edge';

/** Pillow's `transform(size, AFFINE, matrix, BICUBIC, fillcolor)`: cubic with a = -1, not antialiased, truncated. */
export function transformAffine(image: RgbImage, [a, b, c, d, e, f]: Affine, outside: Outside): RgbImage {
  const { width, height } = image;
  const data = new Uint8Array(image.data.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const sourceX = a * (x + 0.5) + b * (y + 0.5) + c;
      const sourceY = d * (x + 0.5) + e * (y + 0.5) + f;
      const isInside = sourceX >= 0 && sourceX < width && sourceY >= 0 && sourceY < height;
      if (isInside || outside === 'edge') sampleCubic(image, sourceX - 0.5, sourceY - 0.5, data, to);
      else data.set(outside, to);
    }
  }
  return { width, height, data };
}

/** Pillow's `rotate(degrees, BICUBIC, fillcolor)` about the centre, counter-clockwise, same size. */
export function rotate(image: RgbImage, degrees: number, outside: Outside): RgbImage {
  const angle = (-degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [centerX, centerY] = [image.width / 2, image.height / 2];
  return transformAffine(
    image,
    [cos, sin, centerX - cos * centerX - sin * centerY, -sin, cos, centerY + sin * centerX - cos * centerY],
    outside,
  );
}

function sampleCubic(image: RgbImage, x: number, y: number, target: Uint8Array, to: number): void {
  const { width, height, data } = image;
  const left = Math.floor(x);
  const top = Math.floor(y);
  const dx = x - left;
  const dy = y - top;
  const x0 = 3 * clamp(left - 1, width);
  const x1 = 3 * clamp(left, width);
  const x2 = 3 * clamp(left + 1, width);
  const x3 = 3 * clamp(left + 2, width);
  const y0 = 3 * width * clamp(top - 1, height);
  const y1 = 3 * width * clamp(top, height);
  const y2 = 3 * width * clamp(top + 1, height);
  const y3 = 3 * width * clamp(top + 2, height);
  for (let channel = 0; channel < 3; channel++) {
    const value = cubic(
      cubicAt(data, y0 + channel, x0, x1, x2, x3, dx),
      cubicAt(data, y1 + channel, x0, x1, x2, x3, dx),
      cubicAt(data, y2 + channel, x0, x1, x2, x3, dx),
      cubicAt(data, y3 + channel, x0, x1, x2, x3, dx),
      dy,
    );
    target[to + channel] = value <= 0 ? 0 : value >= 255 ? 255 : value;
  }
}

function cubicAt(
  data: Uint8Array,
  start: number,
  x0: number,
  x1: number,
  x2: number,
  x3: number,
  at: number,
): number {
  return cubic(
    data[start + x0] as number,
    data[start + x1] as number,
    data[start + x2] as number,
    data[start + x3] as number,
    at,
  );
}

const clamp = (position: number, size: number): number =>
  position < 0 ? 0 : position >= size ? size - 1 : position;

/** Through v1 (at 0) and v2 (at 1), with a = -1. */
function cubic(v0: number, v1: number, v2: number, v3: number, at: number): number {
  return v1 + at * (-v0 + v2 + at * (2 * (v0 - v1) + v2 - v3 + at * (-v0 + v1 - v2 + v3)));
}
