import { join } from 'node:path';
import {
  Augmentation,
  FeatureGradients,
  Loss,
  OnlineScope,
  Optimizer,
  Precision,
  type RunOptions,
} from '@online-cnclip/contracts/trainer/v1';
import { type DataFolder, InvalidInputError } from '@online-cnclip/foundation';
import { parseTrainingOptions, type TrainingOptions } from '@online-cnclip/training';

/** Folder of the experiments in the data folder, as in the research code's DATAPATH. */
export const EXPERIMENTS = 'experiments';

/** Fields that have the same name and meaning on both sides. */
const PLAIN = [
  'numWorkers',
  'logInterval',
  'reportTrainingBatchAcc',
  'batchSize',
  'microBatchSize',
  'validBatchSize',
  'maxSteps',
  'maxEpochs',
  'contextLength',
  'lr',
  'beta1',
  'beta2',
  'eps',
  'wd',
  'warmup',
  'useAugment',
  'skipScheduler',
  'resetOptimizer',
  'resetDataOffset',
  'visionModel',
  'textModel',
  'freezeVision',
  'skipAggregate',
  'useBnSync',
  'debug',
  'seed',
  'onlineLearning',
  'onlineCache',
  'replayRatio',
  'maskDuplicates',
] as const satisfies readonly (keyof RunOptions)[];

/** Fields where 0 means never. */
const INTERVALS = [
  'validStepInterval',
  'validEpochInterval',
  'saveEpochFrequency',
  'saveStepFrequency',
] as const satisfies readonly (keyof RunOptions)[];

export const LOSSES = {
  [Loss.LOSS_UNSPECIFIED]: 'dsl',
  [Loss.LOSS_DSL]: 'dsl',
  [Loss.LOSS_CLIP]: 'clip',
} as const;
export const OPTIMIZERS = {
  [Optimizer.OPTIMIZER_UNSPECIFIED]: 'lamb',
  [Optimizer.OPTIMIZER_LAMB]: 'lamb',
  [Optimizer.OPTIMIZER_ADAMW]: 'adamw',
} as const;

const PRECISIONS = {
  [Precision.PRECISION_UNSPECIFIED]: 'fp32',
  [Precision.PRECISION_FP32]: 'fp32',
  [Precision.PRECISION_AMP]: 'amp',
  [Precision.PRECISION_FP16]: 'fp16',
} as const;
const PRECISION_MESSAGES = {
  fp32: Precision.PRECISION_FP32,
  amp: Precision.PRECISION_AMP,
  fp16: Precision.PRECISION_FP16,
} as const;
const FEATURE_GRADIENTS = {
  [FeatureGradients.FEATURE_GRADIENTS_UNSPECIFIED]: 'own',
  [FeatureGradients.FEATURE_GRADIENTS_OWN]: 'own',
  [FeatureGradients.FEATURE_GRADIENTS_ALL]: 'all',
} as const;

/** Folder of crawled images in the data folder. */
export const CACHE = 'cache';

export const SCOPES = {
  [OnlineScope.ONLINE_SCOPE_UNSPECIFIED]: 'all',
  [OnlineScope.ONLINE_SCOPE_ALL]: 'all',
  [OnlineScope.ONLINE_SCOPE_EXCLUDE_SCORED]: 'exclude-scored',
} as const;
export const SCOPE_MESSAGES = {
  all: OnlineScope.ONLINE_SCOPE_ALL,
  'exclude-scored': OnlineScope.ONLINE_SCOPE_EXCLUDE_SCORED,
} as const;
const AUGMENTATIONS = {
  [Augmentation.AUGMENTATION_UNSPECIFIED]: undefined,
  [Augmentation.AUGMENTATION_NONE]: 'none',
  [Augmentation.AUGMENTATION_ORIGINAL]: 'original',
  [Augmentation.AUGMENTATION_BASIC]: 'basic',
} as const;
const AUGMENTATION_MESSAGES = {
  none: Augmentation.AUGMENTATION_NONE,
  original: Augmentation.AUGMENTATION_ORIGINAL,
  basic: Augmentation.AUGMENTATION_BASIC,
} as const;

/**
 * Options of a run with absolute paths and every default.
 *
 * @throws InvalidInputError naming the option.
 */
export function trainingOptionsOf(
  message: RunOptions,
  root: DataFolder,
  now: Date,
  crawlerAddress?: string,
): TrainingOptions {
  const path = (value: string | undefined, option: string) => {
    if (value === undefined || value === '') return undefined;
    return root.resolve(value, option);
  };
  if (message.trainData === '') throw new InvalidInputError('is required', { place: 'train-data' });
  const given: Record<string, unknown> = {
    trainData: path(message.trainData, 'train-data'),
    valData: path(message.valData, 'val-data'),
    logs: path(message.logs ?? EXPERIMENTS, 'logs'),
    resume: path(message.resume, 'resume'),
    clipWeightPath: path(message.clipWeightPath, 'clip-weight-path'),
    bertWeightPath: path(message.bertWeightPath, 'bert-weight-path'),
    precision: knownValue(PRECISIONS, message.precision, 'precision'),
    featureGradients: knownValue(FEATURE_GRADIENTS, message.featureGradients, 'feature-gradients'),
    loss: knownValue(LOSSES, message.loss, 'loss'),
    optimizer: knownValue(OPTIMIZERS, message.optimizer, 'optimizer'),
    augmentation: knownValue(AUGMENTATIONS, message.augmentation, 'augmentation'),
    name: message.name || undefined,
    cacheFolder: path(message.cacheFolder ?? CACHE, 'cache-folder'),
    crawlerAddress,
    onlineScope: knownValue(SCOPES, message.onlineScope, 'online-scope'),
  };
  for (const field of PLAIN) given[field] = plain(message[field]);
  for (const field of INTERVALS) given[field] = interval(plain(message[field]));
  const options = parseTrainingOptions(given);
  return message.name === '' ? { ...options, name: madeUpName(options, now) } : options;
}

/** Options as callers give them: paths relative to the data folder. */
export function runOptionsMessage(options: TrainingOptions, root: DataFolder): RunOptions {
  const path = (value: string | null) => (value === null ? undefined : root.relative(value));
  const { crawlerAddress: _, maxSteps, validStepInterval, ...given } = options;
  return {
    ...given,
    cacheFolder: path(options.cacheFolder),
    onlineScope: SCOPE_MESSAGES[options.onlineScope],
    useAugment: options.augmentation === 'original',
    augmentation: AUGMENTATION_MESSAGES[options.augmentation],
    trainData: root.relative(options.trainData),
    valData: path(options.valData) ?? '',
    logs: path(options.logs),
    resume: path(options.resume),
    clipWeightPath: path(options.clipWeightPath),
    bertWeightPath: path(options.bertWeightPath),
    maxSteps: maxSteps === null ? undefined : BigInt(maxSteps),
    validStepInterval: validStepInterval === null ? undefined : BigInt(validStepInterval),
    validEpochInterval: options.validEpochInterval ?? 0,
    saveEpochFrequency: Math.max(0, options.saveEpochFrequency),
    saveStepFrequency: BigInt(Math.max(0, options.saveStepFrequency)),
    warmup: BigInt(options.warmup),
    seed: BigInt(options.seed),
    precision: PRECISION_MESSAGES[options.precision],
    microBatchSize: options.microBatchSize ?? undefined,
    featureGradients:
      options.featureGradients === 'all'
        ? FeatureGradients.FEATURE_GRADIENTS_ALL
        : FeatureGradients.FEATURE_GRADIENTS_OWN,
    loss: options.loss === 'clip' ? Loss.LOSS_CLIP : Loss.LOSS_DSL,
    optimizer: options.optimizer === 'adamw' ? Optimizer.OPTIMIZER_ADAMW : Optimizer.OPTIMIZER_LAMB,
  };
}

/** Folder of a run's files. */
export const runFolder = (options: TrainingOptions): string => join(options.logs ?? '', options.name);

export const plain = (value: string | number | bigint | boolean | undefined) =>
  typeof value === 'bigint' ? Number(value) : value;

const interval = (value: string | number | boolean | undefined) => (value === 0 ? 'none' : value);

/** Numbers of a later version of the contract are refused, not taken for a default. */
export function knownValue<T>(values: Readonly<Record<number, T>>, number: number, place: string): T {
  if (!(number in values)) throw new InvalidInputError(`${number} is not a known value`, { place });
  return values[number] as T;
}

function madeUpName({ visionModel, textModel }: TrainingOptions, now: Date): string {
  const time = now.toISOString().slice(0, 19).replace(/[T:]/g, '-');
  return `${time}_${visionModel}_${textModel}`;
}
