import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildDataset, type Dataset, openDataset } from '@online-cnclip/dataset';
import { countOf, type ParityResult, type ParitySuite, readJson, readLines } from '../case.ts';

type GoldenPair = readonly [imageId: number, textId: number, text: string];

/** What Python wrote is read, and what we write from the same sources is compared with it, value by value. */
export const dataset: ParitySuite = async function* ({ folder }) {
  const root = join(folder, 'dataset');
  const pairs = readJson<GoldenPair[]>(root, 'pairs.json');
  const scratch = mkdtempSync(join(tmpdir(), 'parity-dataset-'));
  try {
    // A copy: opening an LMDB leaves a lock file beside it.
    cpSync(root, scratch, { recursive: true });
    const splits = readdirSync(join(scratch, 'lmdb'));
    mkdirSync(join(scratch, 'built'));
    await buildDataset({ dataDir: scratch, splits, lmdbDir: join(scratch, 'built') });
    for (const split of splits) yield* compareSplit(scratch, split, pairs);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};

async function* compareSplit(
  root: string,
  split: string,
  pairs: readonly GoldenPair[],
): AsyncIterable<ParityResult> {
  const python = openDataset(join(root, 'lmdb', split));
  const ours = openDataset(join(root, 'built', split));
  try {
    const images = readLines(root, `${split}_imgs.tsv`).map((line) => line.split('\t') as [string, string]);
    for (const [who, opened] of [
      ['Python wrote', python],
      ['we write', ours],
    ] as const) {
      yield countOf(`dataset/${split}: images that ${who}`, wrongImages(opened, images));
      if (python.pairs > 0) yield countOf(`dataset/${split}: pairs that ${who}`, wrongPairs(opened, pairs));
    }
  } finally {
    python.close();
    ours.close();
  }
}

function wrongImages(opened: Dataset, images: readonly (readonly [string, string])[]): number {
  const wrong = images.filter(([id, base64]) => !opened.image(id).equals(Buffer.from(base64, 'base64url')));
  return wrong.length + Math.abs(opened.images - images.length);
}

function wrongPairs(opened: Dataset, pairs: readonly GoldenPair[]): number {
  const wrong = pairs.filter(([imageId, textId, text], i) => {
    const pair = opened.pair(i);
    return (
      String(pair.imageId) !== String(imageId) || String(pair.textId) !== String(textId) || pair.text !== text
    );
  });
  return wrong.length + Math.abs(opened.pairs - pairs.length);
}
