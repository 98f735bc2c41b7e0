import { basename, dirname, join, resolve } from 'node:path';
import { openDataset, readImagesTsv, readTextsJsonl, splitPaths } from '@online-cnclip/dataset';
import { type Encoder, type FeatureSource, type Outcome, writeFeatureFile } from '@online-cnclip/encoding';
import { InvalidInputError, ResourceExhaustedError } from '@online-cnclip/foundation';
import type { CliContext } from './context.ts';
import { datasetFolder, requirePath, type SplitOptions } from './data-path.ts';
import { formatSeconds } from './progress.ts';

/** Which features are wanted, and where things are: the options of Chinese-CLIP's extract_features.py. */
export interface EncodeOptions extends SplitOptions {
  readonly extractImageFeats?: boolean;
  readonly extractTextFeats?: boolean;
  readonly imageData?: string;
  readonly textData?: string;
  readonly imageFeatOutputPath?: string;
  readonly textFeatOutputPath?: string;
  readonly imgBatchSize: number;
  readonly textBatchSize: number;
}

/** A file of features to write. */
export interface Job {
  readonly kind: 'images' | 'texts';
  readonly input: string;
  readonly output: string;
  readonly batchSize: number;
}

const IMAGES_FOLDER = 'imgs';
const TEXTS_SUFFIX = '_texts.jsonl';

/** @throws InvalidInputError naming the option that is missing. */
export function jobsOf(options: EncodeOptions): Job[] {
  const folder = datasetFolder(options);
  const known = folder === undefined ? undefined : splitPaths(folder, options.split);
  const textData = options.textData ?? known?.textsJsonl;
  const jobs: Job[] = [];
  if (options.extractImageFeats)
    jobs.push({
      kind: 'images',
      input: requirePath(options.imageData, known && join(known.lmdb, IMAGES_FOLDER), '--image-data'),
      output:
        options.imageFeatOutputPath ??
        besideTexts(textData, '_imgs.img_feat.jsonl', '--image-feat-output-path'),
      batchSize: options.imgBatchSize,
    });
  if (options.extractTextFeats)
    jobs.push({
      kind: 'texts',
      input: requirePath(textData, undefined, '--text-data'),
      output:
        options.textFeatOutputPath ??
        besideTexts(textData, '_texts.txt_feat.jsonl', '--text-feat-output-path'),
      batchSize: options.textBatchSize,
    });
  return jobs;
}

/** The images of a split in the data path; undefined without one. */
export function imagesOfSplit(options: SplitOptions): string | undefined {
  const folder = datasetFolder(options);
  return folder === undefined ? undefined : join(splitPaths(folder, options.split).lmdb, IMAGES_FOLDER);
}

/** extract_features.py names both files after that of the texts. */
function besideTexts(textData: string | undefined, suffix: string, option: string): string {
  if (textData?.endsWith(TEXTS_SUFFIX)) return textData.slice(0, -TEXTS_SUFFIX.length) + suffix;
  throw new InvalidInputError(`is required where --text-data is no {split}${TEXTS_SUFFIX}`, {
    place: option,
  });
}

export interface EncodeContext extends Pick<CliContext, 'progress' | 'print'> {
  readonly signal: AbortSignal;
}

/** Writes the files one after the other. @throws as writeFeatureFile. */
export async function encodeFiles(
  encoder: Encoder,
  jobs: readonly Job[],
  context: EncodeContext,
): Promise<void> {
  for (const job of jobs) {
    const startedAt = Date.now();
    const features = await (job.kind === 'images' ? encodeImages : encodeTexts)(encoder, job, context);
    const took = formatSeconds((Date.now() - startedAt) / 1000);
    context.print(`${features} features of ${job.kind} in ${job.output} (${took})`);
  }
}

async function encodeImages(
  encoder: Encoder,
  job: Job,
  { progress, signal }: EncodeContext,
): Promise<number> {
  const { sources, total, close } = openImages(job.input, signal);
  const task = total === undefined ? undefined : progress.start('images', total);
  try {
    return await writeFeatureFile({
      path: job.output,
      idKey: 'image_id',
      sources,
      groupSize: job.batchSize,
      encode: oneByOneWhenFull((files: readonly Uint8Array[], signal) => encoder.encodeImages(files, signal)),
      onProgress: (written) => task?.update(written),
      signal,
    });
  } finally {
    task?.end();
    close();
  }
}

function encodeTexts(encoder: Encoder, job: Job, { signal }: EncodeContext): Promise<number> {
  return writeFeatureFile({
    path: job.output,
    idKey: 'text_id',
    sources: textsOf(job.input, signal),
    groupSize: job.batchSize,
    encode: oneByOneWhenFull((texts: readonly string[], signal) => encoder.encodeTexts(texts, signal)),
    signal,
  });
}

type Encode<Input> = (inputs: readonly Input[], signal?: AbortSignal) => Promise<Outcome<Float32Array>[]>;

/** Large groups may not fit the encoder's queue side by side; alone each of them does. */
function oneByOneWhenFull<Input>(encode: Encode<Input>): Encode<Input> {
  let before: Promise<unknown> = Promise.resolve();
  return (inputs, signal) => {
    const earlier = before;
    const encoded = encode(inputs, signal).catch(async (error: unknown) => {
      if (!(error instanceof ResourceExhaustedError)) throw error;
      await earlier.catch(() => {});
      return encode(inputs, signal);
    });
    before = encoded;
    return encoded;
  };
}

export interface OpenImages {
  readonly sources: AsyncIterable<FeatureSource<Uint8Array>> | Iterable<FeatureSource<Uint8Array>>;
  readonly total: number | undefined;
  close(): void;
}

/** A .tsv of images or a split's LMDB folder. */
export function openImages(path: string, signal: AbortSignal): OpenImages {
  if (path.endsWith('.tsv')) return { sources: imagesOfTsv(path, signal), total: undefined, close() {} };
  const folder = resolve(path);
  const dataset = openDataset(basename(folder) === IMAGES_FOLDER ? dirname(folder) : folder);
  return { sources: imagesOf(dataset.imagesInOrder()), total: dataset.images, close: () => dataset.close() };
}

function* imagesOf(
  images: Iterable<{ readonly imageId: string; readonly image: Buffer }>,
): Generator<FeatureSource<Uint8Array>> {
  for (const { imageId, image } of images) yield { id: imageId, input: image };
}

async function* imagesOfTsv(path: string, signal: AbortSignal): AsyncGenerator<FeatureSource<Uint8Array>> {
  for await (const { imageId, image } of readImagesTsv(path, { signal })) yield { id: imageId, input: image };
}

async function* textsOf(path: string, signal: AbortSignal): AsyncGenerator<FeatureSource<string>> {
  for await (const { textId, text } of readTextsJsonl(path, { signal })) yield { id: textId, input: text };
}
