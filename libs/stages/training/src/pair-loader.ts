import { InvalidInputError, type NdArray } from '@online-cnclip/foundation';
import { sharedZeros } from '@online-cnclip/runtime';
import { prefetch } from './prefetch.ts';
import { batchesPerEpoch, epochOrder } from './sampler.ts';

/** The part of a data set that is read while training. */
export interface PairSource {
  readonly pairs: number;
  pair(index: number): { readonly imageId: string; readonly textId: string; readonly text: string };
  image(imageId: string): Uint8Array;
}

/** Decodes an image file to `[3, resolution, resolution]`, normalised; `seed` gives the augmentation. */
export type DecodeImage = (bytes: Uint8Array, seed: number) => Promise<Float32Array>;
/** Texts to int32 `[texts, contextLength]`. */
export type EncodeTexts = (texts: readonly string[]) => NdArray<'int32'>;

export interface Batch {
  /** float32 `[batch, 3, resolution, resolution]` */
  readonly images: NdArray<'float32'>;
  /** int32 `[batch, contextLength]` */
  readonly inputIds: NdArray<'int32'>;
}

export interface PairLoaderOptions {
  readonly source: PairSource;
  readonly decode: DecodeImage;
  readonly encode: EncodeTexts;
  readonly resolution: number;
  readonly batchSize: number;
  readonly seed: number;
}

/** Batches in preparation while one is trained on: one being decoded, one ready. */
export const BATCHES_AHEAD = 2;

/** Batches of an epoch, decoded ahead of the training step. The same seed gives the same batches, to the pixel. */
export class PairLoader {
  readonly batchesPerEpoch: number;
  readonly #options: PairLoaderOptions;

  /** @throws InvalidInputError when there is no pair. */
  constructor(options: PairLoaderOptions) {
    if (options.source.pairs === 0)
      throw new InvalidInputError('the data set has no pair', { place: 'train-data' });
    this.#options = options;
    this.batchesPerEpoch = batchesPerEpoch(options.source.pairs, options.batchSize);
  }

  /**
   * Batches `first` to before `end` of an epoch, all counted from 0: a resumed epoch starts in its middle, and the
   * last one may end there.
   */
  batches(epoch: number, first = 0, end = this.batchesPerEpoch): AsyncGenerator<Batch, void, undefined> {
    const { source, batchSize, seed } = this.#options;
    const order = epochOrder(source.pairs, batchSize, seed, epoch);
    const starts = Array.from({ length: end - first }, (_, i) => (first + i) * batchSize);
    return prefetch(starts, BATCHES_AHEAD, (start) =>
      this.#load(order.subarray(start, start + batchSize), epoch * order.length + start),
    );
  }

  async #load(indices: Uint32Array, firstSample: number): Promise<Batch> {
    const { source, resolution, encode, decode, seed } = this.#options;
    const pairs = [...indices].map((index) => source.pair(index));
    const images = await imageBatch(
      pairs.map(({ imageId }) => imageId),
      source,
      resolution,
      (bytes, position) => decode(bytes, sampleSeed(seed, firstSample + position)),
    );
    return { images, inputIds: encode(pairs.map(({ text }) => text)) };
  }
}

/**
 * float32 `[ids, 3, resolution, resolution]`.
 *
 * @throws InvalidInputError naming the image that cannot be decoded.
 */
export async function imageBatch(
  imageIds: readonly string[],
  source: Pick<PairSource, 'image'>,
  resolution: number,
  decode: (bytes: Uint8Array, position: number) => Promise<Float32Array>,
): Promise<NdArray<'float32'>> {
  // Shared, so that the runtime's thread takes the batch without a copy.
  const images = sharedZeros([imageIds.length, 3, resolution, resolution]);
  const pixels = 3 * resolution * resolution;
  await Promise.all(
    imageIds.map(async (imageId, position) => {
      try {
        images.data.set(await decode(source.image(imageId), position), position * pixels);
      } catch (cause) {
        if (!(cause instanceof InvalidInputError)) throw cause;
        throw new InvalidInputError(cause.message, { place: `image ${imageId}`, cause });
      }
    }),
  );
  return images;
}

/** A 32-bit seed of its own for each sample of the run (splitmix's finaliser over both numbers). */
function sampleSeed(seed: number, sample: number): number {
  let z = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(sample + 1, 0x85ebca6b)) >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}
