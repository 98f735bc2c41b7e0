import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';

/** Sizes of product pictures on a shop's search page. */
const SIZES = [
  [800, 800],
  [640, 480],
  [480, 640],
  [1000, 667],
] as const;
const PHOTOS = 16;
const JPEG_QUALITY = 85;

/** JPEGs with the detail of photographs: smooth colour fields with noise on them. The same bytes at every call. */
export async function writePhotos(folder: string): Promise<Buffer[]> {
  await mkdir(folder, { recursive: true });
  const photos: Buffer[] = [];
  for (let i = 0; i < PHOTOS; i++) {
    const path = join(folder, `${i}.jpg`);
    const known = await readFile(path).catch(() => null);
    const photo = known ?? (await makePhoto(i));
    if (!known) await writeFile(path, photo);
    photos.push(photo);
  }
  return photos;
}

async function makePhoto(seed: number): Promise<Buffer> {
  const [width, height] = SIZES[seed % SIZES.length] as readonly [number, number];
  const data = new Uint8Array(width * height * 3);
  let state = seed + 1;
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < 3; channel++) {
        state = (Math.imul(state, 1664525) + 1013904223) | 0;
        const noise = (state >>> 24) / 16;
        const field =
          110 + 90 * Math.sin((x * (channel + 1 + seed)) / width) * Math.cos((y * (seed + 2)) / height);
        data[at++] = field + noise;
      }
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer();
}
