import { InvalidInputError } from '@online-cnclip/foundation';
import { COMPUTE_PRECISIONS } from '@online-cnclip/network';
import { z } from 'zod';
import { onlineOptionSchemas, requireImages } from './online/online-options.ts';
import {
  count,
  flag,
  frequency,
  kebabCase,
  none,
  numeric,
  optionalCount,
  optionalNumber,
  optionalText,
  parseOptions,
} from './option-fields.ts';

/** BERT has 512 positions. */
export const MAX_CONTEXT_LENGTH = 512;
/** A worker is a thread with a decoder of its own. */
export const MAX_WORKERS = 64;

const { gateMaxDrop: _, ...onlineTrainingSchemas } = onlineOptionSchemas;

/**
 * Every option of training, by its name in camelCase: the research code's own names and defaults (`--batch-size` is
 * `batchSize`), and a few of ours, marked. "None" as a value means "not set", as it does there.
 */
export const trainingOptionSchemas = {
  trainData: z.string().min(1).describe('LMDB folder of the training split'),
  valData: optionalText().describe('LMDB folder of the validation split; none: no validation'),
  numWorkers: z
    .preprocess(numeric, z.int().min(0).max(MAX_WORKERS).default(4))
    .describe('threads that decode images; 0: on the calling thread'),
  logs: z
    .preprocess(none, z.string().nullable().default('./logs/'))
    .describe('folder of all experiments; none: no files are written'),
  name: z.string().default('train_clip').describe('name of this experiment: its folder under logs'),
  logInterval: count(10).describe('steps between two lines of the log'),
  reportTrainingBatchAcc: flag().describe("log the accuracy within each training step's batch"),
  batchSize: count(64).describe('pairs in a training step, per replica'),
  microBatchSize: optionalCount(null).describe(
    'ours: pairs that are in memory at once, for the gradients of the whole batch; divides batch-size [all]',
  ),
  validBatchSize: count(64).describe('pairs in a validation batch, per replica'),
  maxSteps: optionalCount(null).describe('steps to train; has priority over max-epochs'),
  maxEpochs: count(32).describe('epochs to train'),
  validStepInterval: optionalCount(null).describe('steps between two validations; none: only after epochs'),
  validEpochInterval: optionalCount(1).describe('epochs between two validations; none: only after steps'),
  contextLength: z
    .preprocess(numeric, z.int().min(3).max(MAX_CONTEXT_LENGTH).default(64))
    .describe('tokens of a text, [CLS] and [SEP] included'),
  lr: optionalNumber(z.number().positive()).describe(
    'peak learning rate [by vision model: 5e-4, ViT-L 4e-4]',
  ),
  beta1: optionalNumber(z.number().min(0).lt(1)).describe("decay of the gradient's mean [0.9]"),
  beta2: optionalNumber(z.number().min(0).lt(1)).describe(
    "decay of the gradient's square [ViT .98, RN .999]",
  ),
  eps: optionalNumber(z.number().positive()).describe("optimizer's epsilon [ViT 1e-6, RN 1e-8]"),
  wd: optionalNumber(z.number().min(0)).describe('decoupled weight decay [lamb 0.01, adamw 0.001]'),
  warmup: count(500, 0).describe('steps over which the learning rate rises to lr'),
  useAugment: flag().describe("augment training images with timm's 'original' policy"),
  augmentation: z
    .enum(['none', 'original', 'basic'])
    .optional()
    .describe('ours: which augmentation [original with use-augment, else none]; basic: crop and flip'),
  skipScheduler: flag().describe('keep the learning rate at lr: no warm-up, no decay'),
  saveEpochFrequency: frequency(1).describe('epochs between two epochN.pt; -1: only after the last'),
  saveStepFrequency: frequency(-1).describe('steps between two epoch_N_STEP.pt; -1: never'),
  resume: optionalText().describe("checkpoint to start from [the experiment's epoch_latest.pt, if there]"),
  resetOptimizer: flag().describe('on resume: start with a fresh optimizer'),
  resetDataOffset: flag().describe('on resume: start at the first step of the first epoch'),
  precision: z
    .enum(COMPUTE_PRECISIONS)
    .default('fp32')
    .describe('amp: matrix products in half precision; fp16: their weights, too'),
  visionModel: z.string().default('ViT-B-16').describe('preset of the image tower'),
  textModel: z.string().default('RoBERTa-wwm-ext-base-chinese').describe('preset of the text tower'),
  clipWeightPath: optionalText().describe('pretrained CLIP that initialises the image tower and logit scale'),
  bertWeightPath: optionalText().describe('pretrained BERT that initialises the text tower'),
  freezeVision: flag().describe('leave the image tower as it is'),
  skipAggregate: flag().describe("compute each replica's loss over its own pairs only"),
  featureGradients: z
    .enum(['own', 'all'])
    .default('own')
    .describe(
      "ours: of several replicas, whose features a loss' gradient flows through; all: as one replica with the whole batch",
    ),
  useBnSync: flag().describe('batch normalisation statistics over all replicas'),
  debug: flag().describe('log at level DEBUG'),
  seed: count(123, 0).describe('of initial weights, shuffling, dropout and augmentation'),
  optimizer: z.enum(['lamb', 'adamw']).default('lamb').describe('ours: LAMB as apex computes it, or AdamW'),
  loss: z.enum(['dsl', 'clip']).default('dsl').describe('ours: dual softmax loss, or symmetric InfoNCE'),
  onlineLearning: flag().describe('at each validation, one step per batch on images fetched for its queries'),
  ...onlineTrainingSchemas,
};

/** Names of every option, in camelCase, in the order of the documentation. */
export const TRAINING_OPTION_NAMES = Object.keys(trainingOptionSchemas) as readonly (keyof RawOptions)[];

type RawOptions = z.output<z.ZodObject<typeof trainingOptionSchemas>>;
type ModelDependent = 'lr' | 'beta1' | 'beta2' | 'eps' | 'wd';

/** Options with every default filled in. `null` is "none". */
export type TrainingOptions = Readonly<
  Omit<RawOptions, ModelDependent | 'augmentation' | 'useAugment'> & Record<ModelDependent, number>
> & { readonly augmentation: 'none' | 'original' | 'basic' };

/**
 * Validates options given by the research code's names, in kebab-case, snake_case or camelCase, as values or as texts.
 *
 * @throws InvalidInputError naming the option as on the command line, and the value.
 */
export function parseTrainingOptions(given: Readonly<Record<string, unknown>>): TrainingOptions {
  return resolve(parseOptions(trainingOptionSchemas, given, 'training option'));
}

/** One line per option: name, description and default. */
export function describeTrainingOptions(): string {
  return TRAINING_OPTION_NAMES.map((name) => {
    const initial = trainingOptionSchemas[name].safeParse(undefined);
    const value =
      initial.success && initial.data !== null && initial.data !== undefined
        ? ` [${String(initial.data)}]`
        : '';
    return `  --${kebabCase(name).padEnd(26)} ${trainingOptionSchemas[name].description ?? ''}${value}`;
  }).join('\n');
}

function resolve({ useAugment, ...raw }: RawOptions): TrainingOptions {
  assertExperimentName(raw.name);
  if (useAugment && (raw.augmentation ?? 'original') !== 'original')
    throw new InvalidInputError(`"${raw.augmentation}" contradicts use-augment, which is "original"`, {
      place: 'augmentation',
    });
  assertMicroBatch(raw);
  if (raw.onlineLearning) requireImages(raw);
  else refuseOnline(raw);
  const defaults = defaultsOf(raw.visionModel, raw.optimizer);
  return Object.freeze({
    ...raw,
    lr: raw.lr ?? defaults.lr,
    beta1: raw.beta1 ?? defaults.beta1,
    beta2: raw.beta2 ?? defaults.beta2,
    eps: raw.eps ?? defaults.eps,
    wd: raw.wd ?? defaults.wd,
    augmentation: raw.augmentation ?? (useAugment ? 'original' : 'none'),
  });
}

/** Micro-batches make up a batch; synchronised statistics are of whole batches. */
function assertMicroBatch({
  microBatchSize,
  batchSize,
  useBnSync,
}: Pick<RawOptions, 'microBatchSize' | 'batchSize' | 'useBnSync'>): void {
  if (microBatchSize === null) return;
  const place = 'micro-batch-size';
  if (microBatchSize > batchSize)
    throw new InvalidInputError(`${microBatchSize} is more than the batch-size of ${batchSize}`, { place });
  if (batchSize % microBatchSize !== 0)
    throw new InvalidInputError(`${microBatchSize} does not divide the batch-size of ${batchSize}`, {
      place,
    });
  if (useBnSync)
    throw new InvalidInputError(
      `cannot be had with micro-batch-size ${microBatchSize}: micro-batches have statistics of their own`,
      { place: 'use-bn-sync' },
    );
}

/** An option that would be without effect is more likely a slip. */
function refuseOnline(raw: Pick<RawOptions, 'onlineCache' | 'onlineScope' | 'replayRatio'>): void {
  const given = [
    ['online-cache', raw.onlineCache],
    ['online-scope', raw.onlineScope !== 'all'],
    ['replay-ratio', raw.replayRatio !== 0],
  ] as const;
  const [option] = given.find(([, isGiven]) => isGiven) ?? [];
  if (option !== undefined) throw new InvalidInputError('goes with online-learning only', { place: option });
}

/** Of the CLIP paper (arXiv 2103.00020), as the research code has them. */
function defaultsOf(visionModel: string, optimizer: 'lamb' | 'adamw'): Record<ModelDependent, number> {
  const wd = optimizer === 'lamb' ? 0.01 : 0.001;
  if (visionModel.startsWith('RN')) return { lr: 5e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, wd };
  const lr = visionModel.startsWith('ViT-L-14') ? 4e-4 : 5e-4;
  return { lr, beta1: 0.9, beta2: 0.98, eps: 1e-6, wd };
}

/** The name becomes a folder: it must not lead out of `logs`, and files named after it must fit a file system. */
function assertExperimentName(name: string): void {
  const isFolder = /^[^/\\\p{Cc}]+$/u.test(name) && name !== '.' && name !== '..';
  if (!isFolder || Buffer.byteLength(name) > MAX_NAME_BYTES)
    throw new InvalidInputError(`${JSON.stringify(name)} is not the name of a folder`, { place: 'name' });
}

/** File systems allow 255; suffixes take some. */
const MAX_NAME_BYTES = 200;
