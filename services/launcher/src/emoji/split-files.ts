import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '@online-cnclip/foundation';
import { type Emoji, RENDERINGS, type Rendering } from './catalogue.ts';
import { renderPicture } from './pictures.ts';
import { SPLIT_NAMES, type SplitItem, type SplitName, type Splits } from './splits.ts';

/** Room for the texts of one emoji in the text ids; training has the most, 20. */
const TEXTS_PER_EMOJI = 100;
/** Room for the renderings of one emoji in the image ids. */
const IMAGES_PER_EMOJI = 10;
/** Pictures rendered at a time. */
const RENDER_CONCURRENCY = 8;

export const imageId = ({ index }: Emoji, rendering: Rendering): number =>
  index * IMAGES_PER_EMOJI + RENDERINGS.indexOf(rendering);

export const textId = ({ index }: Emoji, text: number): number => index * TEXTS_PER_EMOJI + text;

export interface SplitCounts {
  readonly images: number;
  readonly texts: number;
  readonly pairs: number;
}

/** Writes `{split}_imgs.tsv` and `{split}_texts.jsonl` of every split into a folder, as Chinese-CLIP has them. */
export async function writeSplitFiles(
  folder: string,
  splits: Splits,
): Promise<Readonly<Record<SplitName, SplitCounts>>> {
  const counts = {} as Record<SplitName, SplitCounts>;
  for (const split of SPLIT_NAMES) {
    const images = await imageLines(splits[split]);
    const texts = splits[split].flatMap(textLines);
    await writeFileAtomically(join(folder, `${split}_imgs.tsv`), images.join(''));
    await writeFileAtomically(join(folder, `${split}_texts.jsonl`), texts.map(({ line }) => line).join(''));
    const pairs = texts.reduce((sum, text) => sum + text.pairs, 0);
    counts[split] = { images: images.length, texts: texts.length, pairs };
  }
  return counts;
}

async function imageLines(items: readonly SplitItem[]): Promise<string[]> {
  const pictures = items.flatMap(({ emoji, renderings }) =>
    renderings.map((rendering) => ({ id: imageId(emoji, rendering), path: emoji.pictures[rendering] })),
  );
  const lines: string[] = [];
  for (let start = 0; start < pictures.length; start += RENDER_CONCURRENCY) {
    const rendered = pictures.slice(start, start + RENDER_CONCURRENCY).map(async ({ id, path }) => {
      const png = await renderPicture(await readFile(path), path);
      return `${id}\t${urlSafeBase64(png)}\n`;
    });
    lines.push(...(await Promise.all(rendered)));
  }
  return lines;
}

function textLines({ emoji, texts, renderings }: SplitItem): { line: string; pairs: number }[] {
  const image_ids = renderings.map((rendering) => imageId(emoji, rendering));
  return texts.map((text, position) => ({
    line: `${JSON.stringify({ text_id: textId(emoji, position), text, image_ids })}\n`,
    pairs: image_ids.length,
  }));
}

/** Python's `base64.urlsafe_b64encode`, padding included. */
const urlSafeBase64 = (bytes: Buffer): string =>
  bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
