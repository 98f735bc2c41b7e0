import { openDataset } from '@online-cnclip/dataset';
import { FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import { loadTokenizer } from '@online-cnclip/tokenizer';
import { openDecoder } from '../open-data.ts';
import type { TrainingOptions } from '../options.ts';
import { BATCHES_AHEAD, type DecodeImage, type EncodeTexts } from '../pair-loader.ts';
import type { TrainingPorts } from '../ports.ts';
import type { ValidationSplit } from '../validation-split.ts';
import { openCachedImages } from './cached-images.ts';
import type { ImageSource } from './image-source.ts';
import { onlineStepRows } from './online-batches.ts';
import { withoutScored } from './query-plan.ts';
import { Replay } from './replay.ts';

/** What the online steps of a training's validations need. */
export interface OnlineLearning {
  readonly options: TrainingOptions;
  readonly images: ImageSource;
  readonly decode: DecodeImage;
  readonly encode: EncodeTexts;
  readonly resolution: number;
  readonly replay: Replay | undefined;
  /** Queries of the training split that no validation query equals; absent where the validation's own are stepped on. */
  readonly others: readonly string[] | undefined;
}

/** Pairs of the largest step of a run. */
export const largestStep = ({
  batchSize,
  validBatchSize,
  onlineLearning,
  replayRatio,
}: TrainingOptions): number =>
  onlineLearning ? Math.max(batchSize, onlineStepRows(validBatchSize, replayRatio)) : batchSize;

/**
 * @param closers gets what is to be closed after the run.
 * @throws NotFoundError for a missing cache; FailedPreconditionError where there is no validation to step at.
 */
export function openOnlineLearning(
  options: TrainingOptions,
  validation: ValidationSplit | undefined,
  { crawledImages, collectives }: TrainingPorts,
  resolution: number,
  closers: AsyncDisposableStack,
): OnlineLearning | undefined {
  if (!options.onlineLearning) return undefined;
  if (!validation)
    throw new FailedPreconditionError('is needed: online steps are made at validations', {
      place: 'val-data',
    });
  if (collectives && collectives.worldSize > 1)
    throw new FailedPreconditionError(`is made by one replica, and there are ${collectives.worldSize}`, {
      place: 'online-learning',
    });
  if (options.microBatchSize !== null)
    throw new InvalidInputError(
      `cannot be had with micro-batch-size ${options.microBatchSize}: online steps have a size of their own`,
      { place: 'online-learning' },
    );
  const images = openImages(options, crawledImages);
  closers.defer(() => images.close());
  const tokenizer = loadTokenizer();
  const maxQueued = (BATCHES_AHEAD + 2) * onlineStepRows(options.validBatchSize, options.replayRatio);
  const decode = openDecoder({ threads: options.numWorkers, maxQueued, resolution }, closers);
  const source = openDataset(options.trainData);
  closers.defer(() => source.close());
  return {
    options,
    images,
    decode,
    encode: (texts) => tokenizer.encode(texts, options.contextLength),
    resolution,
    replay: options.replayRatio > 0 ? new Replay(source, decode, options.seed) : undefined,
    others:
      options.onlineScope === 'all'
        ? undefined
        : withoutScored(
            Array.from({ length: source.pairs }, (_, i) => source.pair(i).text),
            validation.texts,
            'online-scope',
          ),
  };
}

function openImages(
  { onlineCache, cacheFolder, crawlerAddress }: TrainingOptions,
  crawledImages: TrainingPorts['crawledImages'],
): ImageSource {
  if (onlineCache) return openCachedImages(cacheFolder as string, 'valid');
  if (!crawledImages)
    throw new FailedPreconditionError('nothing that could crawl is wired here', { place: 'crawler-address' });
  return crawledImages(crawlerAddress as string);
}
