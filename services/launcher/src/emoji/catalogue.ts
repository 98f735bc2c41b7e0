import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DataLossError } from '@online-cnclip/foundation';
import { z } from 'zod';

/** The two artists whose pictures are used: npm packages `emoji-datasource-google` and `-twitter`. */
export const RENDERINGS = ['google', 'twitter'] as const;
export type Rendering = (typeof RENDERINGS)[number];

export interface Emoji {
  /** Code points in lower-case hexadecimal joined by `-`, without variation selectors: `2764`, `1f469-200d-1f33e`. */
  readonly id: string;
  /** Position among all emoji of the Chinese data, the base of its image and text ids. */
  readonly index: number;
  readonly label: string;
  /** Further words for it, without the label itself. */
  readonly tags: readonly string[];
  /** What it shows, whoever does it: a woman farmer and a man farmer are one concept. */
  readonly concept: string;
  /** The PNG file of each rendering, 64 x 64 pixels. */
  readonly pictures: Readonly<Record<Rendering, string>>;
}

const VARIATION_SELECTOR = 'fe0f';
const ZERO_WIDTH_JOINER = '200d';
/** Woman and man signs, and the arrow that turns a person round: variants of one concept. */
const VARIANT_SIGNS = new Set([ZERO_WIDTH_JOINER, '2640', '2642', '27a1']);
/** Man, woman, person. */
const PERSONS = new Set(['1f468', '1f469', '1f9d1']);
/** The five skin tone swatches mean nothing on their own; emojibase keeps them in this group. */
const COMPONENT_GROUP = 2;

const emojibaseSchema = z.array(
  z.object({
    hexcode: z.string(),
    label: z.string().min(1),
    tags: z.array(z.string().min(1)).default([]),
    group: z.number().optional(),
  }),
);

/** The id of a sequence of code points as files and data sets write it, in any case, with or without FE0F. */
export function emojiId(codePoints: string): string {
  return codePoints
    .toLowerCase()
    .split(/[-_]/)
    .filter((codePoint) => codePoint !== VARIATION_SELECTOR)
    .join('-');
}

/**
 * Every emoji that has a Chinese label and a picture of its own in both renderings, in the data's order.
 * An emoji whose picture is, byte for byte, that of an earlier one (the flags of France and of Clipperton)
 * is left out: no model could tell the two apart, and one of them in training would show it the other.
 */
export function readEmojiCatalogue(): Emoji[] {
  const labels = readLabels();
  const folders = RENDERINGS.map((rendering) => [rendering, pictureFiles(rendering)] as const);
  const seenPictures = new Set<string>();
  const catalogue: Emoji[] = [];
  for (const [index, { hexcode, label, tags, group }] of labels.entries()) {
    const id = emojiId(hexcode);
    if (group === COMPONENT_GROUP) continue;
    const files = folders.map(([rendering, byId]) => [rendering, byId.get(id)] as const);
    if (files.some(([, file]) => file === undefined)) continue;
    const pictures = Object.fromEntries(files) as Record<Rendering, string>;
    const digests = RENDERINGS.map((rendering) => `${rendering} ${digestOf(pictures[rendering])}`);
    if (digests.some((digest) => seenPictures.has(digest))) continue;
    for (const digest of digests) seenPictures.add(digest);
    const ownTags = [...new Set(tags)].filter((tag) => tag !== label);
    catalogue.push({ id, index, label, tags: ownTags, concept: conceptOf(id), pictures });
  }
  return catalogue;
}

function readLabels(): z.output<typeof emojibaseSchema> {
  const path = packageFile('emojibase-data/zh/data.json');
  const parsed = emojibaseSchema.safeParse(JSON.parse(readFileSync(path, 'utf8')));
  if (!parsed.success)
    throw new DataLossError('is not the emoji list expected', { place: path, cause: parsed.error });
  return parsed.data;
}

/** The package's files are named by code points, with FE0F where Unicode's qualified form has it. */
function pictureFiles(rendering: Rendering): Map<string, string> {
  const folder = join(
    dirname(packageFile(`emoji-datasource-${rendering}/package.json`)),
    'img',
    rendering,
    '64',
  );
  const files = readdirSync(folder).filter((name) => name.endsWith('.png'));
  return new Map(files.map((name) => [emojiId(name.slice(0, -'.png'.length)), join(folder, name)]));
}

function conceptOf(id: string): string {
  const parts = id.split('-').filter((codePoint) => !VARIANT_SIGNS.has(codePoint));
  if (parts.length === 0) return id;
  return parts.map((codePoint) => (PERSONS.has(codePoint) ? 'person' : codePoint)).join('-');
}

const packageFile = (specifier: string): string => fileURLToPath(import.meta.resolve(specifier));

const digestOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
