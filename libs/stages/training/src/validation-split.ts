import { InvalidInputError, type NdArray, throwIfAborted } from '@online-cnclip/foundation';
import { BATCHES_AHEAD, type Batch, type EncodeTexts, imageBatch, type PairSource } from './pair-loader.ts';
import { prefetch } from './prefetch.ts';
import type { PairRows } from './validation.ts';

export interface ValidationSplitOptions {
  readonly source: PairSource;
  /** Every image of the split, those without a pair included: the gallery. */
  readonly imageIds: readonly string[];
  readonly decode: (bytes: Uint8Array) => Promise<Float32Array>;
  readonly encode: EncodeTexts;
  readonly resolution: number;
  readonly batchSize: number;
  /** The option that names the split in errors; absent: val-data. */
  readonly place?: string;
}

/** The distinct images and texts of a validation split, and which belong together. */
export class ValidationSplit {
  readonly imageIds: readonly string[];
  readonly pairs: readonly PairRows[];
  /** Of each distinct text, the ids of its images. */
  readonly relevantIds: readonly (readonly string[])[];
  /** The distinct texts, in the order of `relevantIds`. */
  readonly texts: readonly string[];
  readonly #options: ValidationSplitOptions;

  /** @throws InvalidInputError when there is no pair, or a pair names an image that the split does not have. */
  constructor(options: ValidationSplitOptions) {
    const { source, imageIds, place = 'val-data' } = options;
    if (source.pairs === 0) throw new InvalidInputError('the data set has no pair', { place });
    const imageRows = new Map(imageIds.map((id, row) => [id, row]));
    const textRows = new Map<string, number>();
    const texts: string[] = [];
    const relevant: string[][] = [];
    this.pairs = Array.from({ length: source.pairs }, (_, index) => {
      const { imageId, textId, text } = source.pair(index);
      const image = imageRows.get(imageId);
      if (image === undefined)
        throw new InvalidInputError(`has no image ${imageId}, which its text ${textId} names`, {
          place,
        });
      const row = textRows.get(textId) ?? texts.length;
      if (row === texts.length) {
        textRows.set(textId, row);
        texts.push(text);
        relevant.push([]);
      }
      relevant[row]?.push(imageId);
      return { image, text: row };
    });
    this.imageIds = imageIds;
    this.relevantIds = relevant;
    this.texts = texts;
    this.#options = options;
  }

  /** float32 `[up to batchSize, 3, resolution, resolution]`, in the order of `imageIds`, or of the rows given. */
  async *imageBatches(
    signal?: AbortSignal,
    rows?: readonly number[],
  ): AsyncGenerator<NdArray<'float32'>, void, undefined> {
    const { source, resolution, decode, batchSize } = this.#options;
    const batches = prefetch(chunks(pick(this.imageIds, rows), batchSize), BATCHES_AHEAD, (ids) =>
      imageBatch(ids, source, resolution, decode),
    );
    for await (const batch of batches) {
      throwIfAborted(signal);
      yield batch;
    }
  }

  /** Images and texts of some pairs, in their order. */
  async pairBatch(pairs: readonly PairRows[]): Promise<Batch> {
    const { source, resolution, decode, encode } = this.#options;
    const ids = pairs.map(({ image }) => this.imageIds[image] as string);
    return {
      images: await imageBatch(ids, source, resolution, decode),
      inputIds: encode(pairs.map(({ text }) => this.texts[text] as string)),
    };
  }

  /** int32 `[up to batchSize, contextLength]`, in the order of `relevantIds`, or of the rows given. */
  async *textBatches(
    signal?: AbortSignal,
    rows?: readonly number[],
  ): AsyncGenerator<NdArray<'int32'>, void, undefined> {
    for (const texts of chunks(pick(this.texts, rows), this.#options.batchSize)) {
      throwIfAborted(signal);
      yield this.#options.encode(texts);
    }
  }
}

const pick = <T>(items: readonly T[], rows: readonly number[] | undefined): readonly T[] =>
  rows ? rows.map((row) => items[row] as T) : items;

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
