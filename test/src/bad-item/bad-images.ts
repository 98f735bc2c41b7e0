import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pngBomb } from '../soak/files/mutate.ts';
import { GOLDENS } from '../soak/tiny-data.ts';

const golden = (name: string): Buffer => readFileSync(join(GOLDENS, 'preprocessing', name));

/** Pictures of several formats and sizes. */
export const goodImages = (): Buffer[] =>
  ['photo.jpg', 'palette.png', 'lossy.webp', 'first-frame.gif', 'gray.jpg', 'alpha.png'].map(golden);

/** What arrives in the place of pictures. */
export function badImages(): Buffer[] {
  const photo = golden('photo.jpg');
  const damaged = Buffer.from(golden('alpha.png'));
  damaged.fill(0x55, 2_000, 3_000);
  return [
    Buffer.alloc(0),
    Buffer.from('<html>404</html>'),
    photo.subarray(0, photo.length >> 1),
    golden('lossy.webp').subarray(0, 500),
    golden('first-frame.gif').subarray(0, 300),
    damaged,
    pngBomb(60_000, 60_000),
  ];
}

export interface Mixed {
  readonly image: Buffer;
  readonly isGood: boolean;
}

/** Good ones in their order, with the bad ones among them. */
export function mixed(): Mixed[] {
  const bad = badImages().map((image) => ({ image, isGood: false }));
  const all: Mixed[] = [];
  for (const image of goodImages()) all.push({ image, isGood: true }, ...bad.splice(0, 1));
  return [...bad.splice(0, 1), ...all, ...bad];
}
