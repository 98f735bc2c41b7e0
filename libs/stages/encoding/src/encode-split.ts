import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openDataset, readImagesTsv, readTextsJsonl, splitPaths } from '@online-cnclip/dataset';
import { type FeatureSource, writeFeatureFile } from './feature-file.ts';
import { TEXT_WINDOW } from './limits.ts';
import type { Outcome } from './outcome.ts';

/** The part of an {@link EncoderModel} that is needed here. */
export interface Encoder {
  encodeTexts(texts: readonly string[], signal?: AbortSignal): Promise<Outcome<Float32Array>[]>;
  encodeImages(files: readonly Uint8Array[], signal?: AbortSignal): Promise<Outcome<Float32Array>[]>;
}

export const FEATURE_KINDS = ['images', 'texts'] as const;
export type FeatureKind = (typeof FEATURE_KINDS)[number];

export interface EncodeSplitOptions {
  readonly encoder: Encoder;
  /** Folder of `{split}_imgs.tsv` and `{split}_texts.jsonl`. */
  readonly dataDir: string;
  readonly split: string;
  /** Folder of `{split}/imgs`; default `{dataDir}/lmdb`. Where it has the split, images are read from there. */
  readonly lmdbDir?: string | undefined;
  /** Default: the data's folder. */
  readonly outputDir?: string | undefined;
  /** Default: both. */
  readonly kinds?: readonly FeatureKind[] | undefined;
  readonly onProgress?: ((progress: EncodeProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface EncodeProgress {
  readonly kind: FeatureKind;
  readonly written: number;
  /** Where it is known beforehand. */
  readonly total: number | undefined;
}

export interface EncodedFile {
  readonly kind: FeatureKind;
  readonly path: string;
  readonly features: number;
}

/** Images read ahead: enough for the decoding threads and the next micro-batches. */
const IMAGE_GROUP = 16;

/**
 * Encodes a split's images and texts into `{split}_imgs.img_feat.jsonl` and `{split}_texts.txt_feat.jsonl`, the
 * files of Chinese-CLIP's extract_features.py. Each file replaces its old one when it is complete.
 *
 * @throws NotFoundError when the split is not there; InvalidInputError naming a broken line or an image that cannot be
 *   decoded; the signal's reason once it is aborted.
 */
export async function encodeSplit(options: EncodeSplitOptions): Promise<EncodedFile[]> {
  const encoded: EncodedFile[] = [];
  for (const kind of options.kinds ?? FEATURE_KINDS) encoded.push(await ENCODE[kind](options));
  return encoded;
}

const ENCODE: Readonly<Record<FeatureKind, (options: EncodeSplitOptions) => Promise<EncodedFile>>> = {
  async images(options) {
    const { encoder, signal } = options;
    const { sources, total, close } = openImages(options);
    const path = outputPath(options, 'imgs.img_feat.jsonl');
    try {
      const features = await writeFeatureFile({
        path,
        idKey: 'image_id',
        sources,
        groupSize: IMAGE_GROUP,
        encode: (files, signal) => encoder.encodeImages(files, signal),
        onProgress: (written) => options.onProgress?.({ kind: 'images', written, total }),
        signal,
      });
      return { kind: 'images', path, features };
    } finally {
      close();
    }
  },

  async texts(options) {
    const { encoder, dataDir, split, signal } = options;
    const path = outputPath(options, 'texts.txt_feat.jsonl');
    const features = await writeFeatureFile({
      path,
      idKey: 'text_id',
      sources: textsOf(splitPaths(dataDir, split).textsJsonl, signal),
      groupSize: TEXT_WINDOW,
      encode: (texts, signal) => encoder.encodeTexts(texts, signal),
      onProgress: (written) => options.onProgress?.({ kind: 'texts', written, total: undefined }),
      signal,
    });
    return { kind: 'texts', path, features };
  },
};

const outputPath = ({ outputDir, dataDir, split }: EncodeSplitOptions, name: string): string =>
  join(outputDir ?? dataDir, `${split}_${name}`);

interface OpenImages {
  readonly sources: AsyncIterable<FeatureSource<Uint8Array>> | Iterable<FeatureSource<Uint8Array>>;
  readonly total: number | undefined;
  close(): void;
}

function openImages({ dataDir, split, lmdbDir, signal }: EncodeSplitOptions): OpenImages {
  const { imagesTsv, lmdb } = splitPaths(dataDir, split, lmdbDir);
  if (lmdbDir === undefined && !existsSync(lmdb))
    return {
      sources: imagesOfTsv(imagesTsv, signal),
      total: undefined,
      close: () => {},
    };
  const dataset = openDataset(lmdb);
  const sources = dataset.imagesInOrder().map(({ imageId, image }) => ({ id: imageId, input: image }));
  return { sources, total: dataset.images, close: () => dataset.close() };
}

async function* imagesOfTsv(path: string, signal?: AbortSignal): AsyncGenerator<FeatureSource<Uint8Array>> {
  for await (const { imageId, image } of readImagesTsv(path, { signal })) yield { id: imageId, input: image };
}

async function* textsOf(path: string, signal?: AbortSignal): AsyncGenerator<FeatureSource<string>> {
  for await (const { textId, text } of readTextsJsonl(path, { signal })) yield { id: textId, input: text };
}
