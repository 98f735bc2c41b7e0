import type { RgbImage } from '../resize.ts';

/** Operations on each pixel's levels by themselves, as Pillow's ImageOps and ImageEnhance do them. */

export const invert = (image: RgbImage): RgbImage => mapLevels(image, () => (level) => 255 - level);

export const posterize = (image: RgbImage, bits: number): RgbImage =>
  mapLevels(image, () => (level) => level & ~((1 << (8 - bits)) - 1));

export const solarize = (image: RgbImage, threshold: number): RgbImage =>
  mapLevels(image, () => (level) => (level < threshold ? level : 255 - level));

const SOLARIZE_ADD_THRESHOLD = 128;

export const solarizeAdd = (image: RgbImage, amount: number): RgbImage =>
  mapLevels(image, () => (level) => (level < SOLARIZE_ADD_THRESHOLD ? Math.min(255, level + amount) : level));

/** Stretches each channel's levels to 0..255. */
export const autoContrast = (image: RgbImage): RgbImage =>
  mapLevels(image, (histogram) => {
    const low = histogram.findIndex((count) => count > 0);
    const high = histogram.findLastIndex((count) => count > 0);
    if (high <= low) return (level) => level;
    const scale = 255 / (high - low);
    return (level) => Math.min(255, Math.max(0, Math.trunc(level * scale - low * scale)));
  });

/** Levels out each channel's histogram. */
export const equalize = (image: RgbImage): RgbImage =>
  mapLevels(image, (histogram) => {
    const highest = histogram.findLastIndex((count) => count > 0);
    const step = Math.floor((image.width * image.height - (histogram[highest] ?? 0)) / 255);
    if (step === 0) return (level) => level;
    let below = Math.floor(step / 2);
    const levels = histogram.map((count) => {
      const level = Math.min(255, Math.floor(below / step));
      below += count;
      return level;
    });
    return (level) => levels[level] as number;
  });

/** Saturation: 0 is gray, 1 the image as it is. */
export function color(image: RgbImage, factor: number): RgbImage {
  const gray = toGray(image);
  return blend((at) => gray[Math.floor(at / 3)] as number, image, factor);
}

export function contrast(image: RgbImage, factor: number): RgbImage {
  const gray = toGray(image);
  const mean = Math.floor(gray.reduce((sum, level) => sum + level, 0) / gray.length + 0.5);
  return blend(() => mean, image, factor);
}

export const brightness = (image: RgbImage, factor: number): RgbImage => blend(() => 0, image, factor);

/** 0 is smoothed (3 x 3, centre 5, sum 13; the border stays), 1 the image as it is, above 1 sharper. */
export function sharpness(image: RgbImage, factor: number): RgbImage {
  const { width, height, data } = image;
  const smooth = new Uint8Array(data);
  const rowBytes = 3 * width;
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * rowBytes + 3; at < (y + 1) * rowBytes - 3; at++) {
      let sum = 4 * (data[at] as number);
      for (const row of [at - rowBytes, at, at + rowBytes])
        sum += (data[row - 3] as number) + (data[row] as number) + (data[row + 3] as number);
      smooth[at] = Math.floor(sum / 13 + 0.5);
    }
  }
  return blend((at) => smooth[at] as number, image, factor);
}

type Mapping = (level: number) => number;

function mapLevels(image: RgbImage, mappingOf: (histogram: number[]) => Mapping): RgbImage {
  const data = new Uint8Array(image.data.length);
  for (let channel = 0; channel < 3; channel++) {
    const histogram = new Array<number>(256).fill(0);
    for (let at = channel; at < data.length; at += 3) (histogram[image.data[at] as number] as number)++;
    const mapping = mappingOf(histogram);
    const levels = Uint8Array.from({ length: 256 }, (_, level) => mapping(level));
    for (let at = channel; at < data.length; at += 3) data[at] = levels[image.data[at] as number] as number;
  }
  return { ...image, data };
}

/** Pillow's `convert('L')` (ITU-R 601). */
function toGray({ data }: RgbImage): Uint8Array {
  const gray = new Uint8Array(data.length / 3);
  for (let pixel = 0, at = 0; pixel < gray.length; pixel++, at += 3) {
    const [red, green, blue] = [data[at] as number, data[at + 1] as number, data[at + 2] as number];
    gray[pixel] = (red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16;
  }
  return gray;
}

/** Pillow's `blend`: factor 0 is the other image, 1 this one; beyond, it goes on. In float32, truncated. */
function blend(other: (at: number) => number, image: RgbImage, factor: number): RgbImage {
  if (factor === 1) return image;
  const share = Math.fround(factor);
  const data = image.data.map((level, at) => {
    const from = other(at);
    return Math.min(255, Math.max(0, Math.fround(from + Math.fround(share * (level - from)))));
  });
  return { ...image, data };
}
