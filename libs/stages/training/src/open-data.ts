import { type Dataset, openDataset } from '@online-cnclip/dataset';
import { type Augmentation, createPreprocessor, preprocess } from '@online-cnclip/preprocessing';
import { loadTokenizer } from '@online-cnclip/tokenizer';
import type { TrainingOptions } from './options.ts';
import { BATCHES_AHEAD, type DecodeImage, type EncodeTexts, PairLoader } from './pair-loader.ts';
import { type DataIdentity, dataIdentity } from './replicas/fingerprint.ts';
import { ValidationSplit } from './validation-split.ts';

export interface TrainingData {
  readonly loader: PairLoader;
  /** Of the training split. */
  readonly pairs: number;
  /** Of the training split; the same for equal data sets. */
  readonly identity: DataIdentity;
  readonly validation: ValidationSplit | undefined;
}

/**
 * Opens the data sets of a run and the workers that decode their images.
 *
 * @param resolution of the image tower, pixels. @param replica of several, this one. @param closers gets what is to be closed after the run.
 * @throws NotFoundError, DataLossError and InvalidInputError as the data set's reader does.
 */
export function openData(
  options: TrainingOptions,
  resolution: number,
  replica: { readonly rank: number; readonly worldSize: number },
  closers: AsyncDisposableStack,
): TrainingData {
  const tokenizer = loadTokenizer();
  const encode: EncodeTexts = (texts) => tokenizer.encode(texts, options.contextLength);
  const { batchSize, validBatchSize, seed, augmentation } = options;
  // A validation between two steps finds the next training batches waiting.
  const maxQueued = (BATCHES_AHEAD + 1) * (batchSize + validBatchSize);
  const open = (path: string): Dataset => {
    const dataset = openDataset(path);
    closers.defer(() => dataset.close());
    return dataset;
  };
  const decoder = (augmentation: Augmentation): DecodeImage =>
    openDecoder({ threads: options.numWorkers, maxQueued, resolution, augmentation }, closers);

  const source = open(options.trainData);
  const decode = decoder(augmentation);
  const loader = new PairLoader({
    source,
    decode,
    encode,
    resolution,
    batchSize,
    seed,
    replica,
    maskDuplicates: options.maskDuplicates,
  });
  const training = { loader, pairs: source.pairs, identity: dataIdentity(source) };
  if (options.valData === null) return { ...training, validation: undefined };

  const validSource = open(options.valData);
  const validDecode = augmentation === 'none' ? decode : decoder('none');
  const validation = new ValidationSplit({
    source: validSource,
    imageIds: [...validSource.imageIds()],
    decode: (bytes) => validDecode(bytes, seed),
    encode,
    resolution,
    batchSize: validBatchSize,
  });
  return { ...training, validation };
}

export interface DecoderOptions {
  /** 0: on the calling thread. */
  readonly threads: number;
  /** Images that may wait at once. */
  readonly maxQueued: number;
  readonly resolution: number;
  readonly augmentation?: Augmentation;
}

/** Decodes on threads of its own, which end with the closers. */
export function openDecoder(
  { threads, maxQueued, resolution, augmentation = 'none' }: DecoderOptions,
  closers: AsyncDisposableStack,
): DecodeImage {
  if (threads === 0) return (bytes, seed) => preprocess(bytes, resolution, { augmentation, seed });
  const preprocessor = createPreprocessor({ resolution, augmentation, threads, maxQueued });
  closers.defer(() => preprocessor.close());
  return (bytes, seed) => preprocessor.run(bytes, { seed });
}
