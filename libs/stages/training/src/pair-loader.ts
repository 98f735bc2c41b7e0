import { InvalidInputError, type NdArray } from '@online-cnclip/foundation';
import { sharedZeros } from '@online-cnclip/runtime';
import { duplicateKeys, keyOf } from './online/pair-keys.ts';
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
  /** int32 `[batch, 2]`, see StepChoices; absent where duplicates are not masked. */
  readonly pairKeys?: NdArray<'int32'>;
}

export interface PairLoaderOptions {
  readonly source: PairSource;
  readonly decode: DecodeImage;
  readonly encode: EncodeTexts;
  readonly resolution: number;
  readonly batchSize: number;
  readonly seed: number;
  /** Of several replicas this one; absent: there is one. */
  readonly replica?: { readonly rank: number; readonly worldSize: number };
  /** Whether batches say which of their pairs have the same image or text. */
  readonly maskDuplicates?: boolean;
}

/** Batches in preparation while one is trained on: one being decoded, one ready. */
export const BATCHES_AHEAD = 2;

/**
 * Batches of an epoch, decoded ahead of the training step. The same seed gives the same batches, to the pixel. Replicas
 * take turns in the order of the epoch, as with torch's DistributedSampler: step by step all together have the pairs
 * that one replica with their global batch would have.
 */
export class PairLoader {
  readonly batchesPerEpoch: number;
  readonly #options: PairLoaderOptions;

  /** @throws InvalidInputError when there is no pair. */
  constructor(options: PairLoaderOptions) {
    if (options.source.pairs === 0)
      throw new InvalidInputError('the data set has no pair', { place: 'train-data' });
    this.#options = options;
    this.batchesPerEpoch = batchesPerEpoch(options.source.pairs, this.#globalBatch);
  }

  get #globalBatch(): number {
    return this.#options.batchSize * (this.#options.replica?.worldSize ?? 1);
  }

  /**
   * Batches `first` to before `end` of an epoch, all counted from 0: a resumed epoch starts in its middle, and the
   * last one may end there.
   */
  batches(epoch: number, first = 0, end = this.batchesPerEpoch): AsyncGenerator<Batch, void, undefined> {
    const { source, batchSize, seed, replica = { rank: 0, worldSize: 1 } } = this.#options;
    const order = epochOrder(source.pairs, this.#globalBatch, seed, epoch);
    const { rank, worldSize } = replica;
    const steps = Array.from({ length: end - first }, (_, i) => first + i);
    return prefetch(steps, BATCHES_AHEAD, (step) => {
      const positions = Array.from(
        { length: batchSize },
        (_, row) => (step * batchSize + row) * worldSize + rank,
      );
      return this.#load(
        positions.map((position) => order[position] as number),
        positions.map((position) => epoch * order.length + position),
      );
    });
  }

  /** @param samples the numbers of the pairs in the whole run */
  async #load(indices: readonly number[], samples: readonly number[]): Promise<Batch> {
    const { source, resolution, encode, decode, seed } = this.#options;
    const pairs = indices.map((index) => source.pair(index));
    const images = await imageBatch(
      pairs.map(({ imageId }) => imageId),
      source,
      resolution,
      (bytes, position) => decode(bytes, sampleSeed(seed, samples[position] as number)),
    );
    const inputIds = encode(pairs.map(({ text }) => text));
    if (!this.#options.maskDuplicates) return { images, inputIds };
    const imageKeys = pairs.map(({ imageId }) => keyOf(imageId));
    return { images, inputIds, pairKeys: duplicateKeys(imageKeys, inputIds) };
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
