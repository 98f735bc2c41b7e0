import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DataLossError } from '@online-cnclip/foundation';
import { z } from 'zod';

/** What the shop sells: pictures of emoji, by an artist that neither training nor the galleries know. */
export interface Product {
  /** Code points in lower-case hexadecimal joined by `-`, without variation selectors. */
  readonly id: string;
  readonly label: string;
  readonly tags: readonly string[];
  /** SVG file. */
  readonly picture: string;
}

const VARIATION_SELECTOR = 'fe0f';
const EXTENSION = '.svg';

const emojibaseSchema = z.array(
  z.object({
    hexcode: z.string(),
    label: z.string().min(1),
    tags: z.array(z.string().min(1)).default([]),
  }),
);

/** Every emoji that has a Chinese label and a picture, in the data's order. */
export function readCatalogue(): Product[] {
  const path = packageFile('emojibase-data/zh/data.json');
  const parsed = emojibaseSchema.safeParse(JSON.parse(readFileSync(path, 'utf8')));
  if (!parsed.success)
    throw new DataLossError('is not the emoji list expected', { place: path, cause: parsed.error });
  const pictures = readPictures();
  const products: Product[] = [];
  for (const { hexcode, label, tags } of parsed.data) {
    const id = productId(hexcode);
    const picture = pictures.get(id);
    if (picture !== undefined) products.push({ id, label, tags, picture });
  }
  return products;
}

/** Ids in the data and in the files' names differ in case and in the variation selector. */
export function productId(codePoints: string): string {
  return codePoints
    .toLowerCase()
    .split('-')
    .filter((codePoint) => codePoint !== VARIATION_SELECTOR)
    .join('-');
}

function readPictures(): Map<string, string> {
  const folder = join(dirname(packageFile('@lobehub/fluent-emoji-flat/package.json')), 'assets');
  const files = readdirSync(folder).filter((name) => name.endsWith(EXTENSION));
  return new Map(files.map((name) => [productId(name.slice(0, -EXTENSION.length)), join(folder, name)]));
}

const packageFile = (specifier: string): string => fileURLToPath(import.meta.resolve(specifier));
