import type { RgbImage } from './resize.ts';

/** Mean and standard deviation of CLIP's training images, per channel, in units of 0 to 1. */
export const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073] as const;
export const CLIP_STD = [0.26862954, 0.26130258, 0.27577711] as const;

/** Per channel, what each of the 256 levels becomes; float32 arithmetic in torchvision's order. */
const LEVELS = CLIP_MEAN.map((mean, channel) =>
  Float32Array.from({ length: 256 }, (_, level) => {
    const centered = Math.fround(Math.fround(level / 255) - Math.fround(mean));
    return centered / Math.fround(CLIP_STD[channel] as number);
  }),
) as [Float32Array, Float32Array, Float32Array];

/** A model's input: [3, height, width], scaled to 0..1, less CLIP's mean, by its standard deviation. */
export function normalize({ width, height, data }: RgbImage): Float32Array<ArrayBuffer> {
  const size = width * height;
  const result = new Float32Array(3 * size);
  const [red, green, blue] = LEVELS;
  for (let pixel = 0, from = 0; pixel < size; pixel++, from += 3) {
    result[pixel] = red[data[from] as number] as number;
    result[size + pixel] = green[data[from + 1] as number] as number;
    result[2 * size + pixel] = blue[data[from + 2] as number] as number;
  }
  return result;
}
