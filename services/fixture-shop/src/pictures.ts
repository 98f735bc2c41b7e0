import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import type { Offer } from './search.ts';

/** Pictures of one product: as many as test-time learning goes through (image number = epoch % 5 + 1). */
export const VARIATIONS = 5;
/** Side of the square pictures in pixels, that of a shop's thumbnails. */
const SIDE = 300;
/** Pictures that are kept once rendered, about 10 KB each. */
const KEPT_PICTURES = 2_000;

export interface Picture {
  readonly bytes: Buffer;
  readonly mediaType: 'image/jpeg' | 'image/png' | 'image/webp';
}

/** How different sellers photograph one thing; never mirrored, which would turn an arrow round. */
interface Setting {
  readonly format: 'jpeg' | 'png' | 'webp';
  /** Of the picture's side that the product fills. */
  readonly scale: number;
  readonly degrees: number;
  /** Of its centre, as a share of the side. */
  readonly shift: readonly [number, number];
  /** The backdrop's colours, top left to bottom right. */
  readonly backdrop: readonly [string, string];
}

const SETTINGS: readonly [Setting, Setting, Setting, Setting, Setting] = [
  {
    format: 'jpeg',
    scale: 0.9,
    degrees: 0,
    shift: [0, 0],
    backdrop: ['#ffffff', '#ffffff'],
  },
  {
    format: 'png',
    scale: 0.72,
    degrees: 10,
    shift: [-0.06, 0.04],
    backdrop: ['#ffffff', '#d8d4cc'],
  },
  {
    format: 'webp',
    scale: 0.84,
    degrees: -9,
    shift: [0.03, -0.03],
    backdrop: ['#cfd8e6', '#fafcff'],
  },
  {
    format: 'jpeg',
    scale: 1.12,
    degrees: 4,
    shift: [0.02, 0.05],
    backdrop: ['#fdf3e7', '#fffdf8'],
  },
  {
    format: 'jpeg',
    scale: 0.6,
    degrees: -5,
    shift: [0.12, 0.1],
    backdrop: ['#f4f4f4', '#b9c4bd'],
  },
];

/** How far a product's own numbers move a setting, so that no two products are shown quite alike. */
const SPREAD = { scale: 0.05, degrees: 3, shift: 0.03 } as const;

/** Renders offers, and keeps what it has rendered. */
export function createPictures(seed: number): (offer: Offer) => Promise<Picture> {
  const kept = new Map<string, Promise<Picture>>();
  return (offer) => {
    const key = `${offer.product.id} ${offer.variation}`;
    let picture = kept.get(key);
    if (picture === undefined) {
      picture = render(offer, seed);
      kept.set(key, picture);
      // The first that was put in is the first in order.
      if (kept.size > KEPT_PICTURES) kept.delete(kept.keys().next().value ?? '');
    }
    return picture;
  };
}

async function render({ product, variation }: Offer, seed: number): Promise<Picture> {
  const setting = SETTINGS[variation as 0 | 1 | 2 | 3 | 4];
  const draw = numbersOf(`${seed} ${product.id} ${variation}`);
  const scale = setting.scale + SPREAD.scale * draw();
  const degrees = setting.degrees + SPREAD.degrees * draw();
  const drawn = await sharp(await readFile(product.picture), { density: 300 })
    .resize(Math.round(SIDE * scale))
    .toBuffer();
  const turned = await sharp(drawn).rotate(degrees, { background: '#00000000' }).png().toBuffer();
  const shifts = setting.shift.map((share) => Math.round(SIDE * (share + SPREAD.shift * draw())));
  const [x = 0, y = 0] = shifts;
  const placed = await place(turned, x, y);
  const image = sharp(Buffer.from(backdropSvg(setting.backdrop))).composite([{ input: placed }]);
  const flat = image.flatten({ background: '#ffffff' }).removeAlpha();
  const bytes = await (setting.format === 'jpeg'
    ? flat.jpeg({ quality: 88 })
    : setting.format === 'png'
      ? flat.png({ compressionLevel: 3 })
      : flat.webp({ quality: 85 })
  ).toBuffer();
  return { bytes, mediaType: `image/${setting.format}` };
}

/** On a clear square, moved from the middle by so many pixels, cut where it would stick out. */
async function place(input: Buffer, x: number, y: number): Promise<Buffer> {
  const { width, height } = await sharp(input).metadata();
  const left = Math.round((SIDE - width) / 2) + x;
  const top = Math.round((SIDE - height) / 2) + y;
  const cut = { left: Math.max(0, -left), top: Math.max(0, -top) };
  const extent = {
    width: Math.min(width - cut.left, SIDE - Math.max(0, left)),
    height: Math.min(height - cut.top, SIDE - Math.max(0, top)),
  };
  const part = await sharp(input)
    .extract({ ...cut, ...extent })
    .toBuffer();
  return sharp({ create: { width: SIDE, height: SIDE, channels: 4, background: '#00000000' } })
    .composite([{ input: part, left: Math.max(0, left), top: Math.max(0, top) }])
    .png()
    .toBuffer();
}

const backdropSvg = ([from, to]: readonly [string, string]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}"><defs>` +
  `<linearGradient id="b" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="${from}"/>` +
  `<stop offset="1" stop-color="${to}"/></linearGradient></defs><rect width="100%" height="100%" fill="url(#b)"/></svg>`;

/** Numbers from -1 to 1 that depend on the text alone. */
function numbersOf(text: string): () => number {
  let state = shareOf(text) * 2 ** 32;
  return () => {
    state = (Math.imul(state | 0, 1_664_525) + 1_013_904_223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  };
}

/** A share from 0 to 1 that depends on the text alone (FNV-1a, mixed as MurmurHash3 ends). */
export function shareOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) / 2 ** 32;
}
