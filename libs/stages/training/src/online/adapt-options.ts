import { InvalidInputError } from '@online-cnclip/foundation';
import { z } from 'zod';
import {
  count,
  flag,
  kebabCase,
  MAX_COUNT,
  none,
  number,
  numeric,
  optionalText,
  parseOptions,
} from '../option-fields.ts';
import { MAX_CONTEXT_LENGTH, MAX_WORKERS } from '../options.ts';
import { type MaxDrop, onlineOptionSchemas, requireImages } from './online-options.ts';

/** The crawler's contract gives out no more per query. */
const MAX_IMAGES_PER_QUERY = 100;

/** Every option of test-time online learning, in camelCase; defaults are the research code's constants. */
export const adaptOptionSchemas = {
  model: z.string().min(1).describe('checkpoint to start from'),
  queries: z.string().min(1).describe('{split}_texts.jsonl of the queries that are scored'),
  onlineQueries: optionalText().describe(
    'ours: .jsonl of other queries, to step on with online-scope exclude-scored',
  ),
  maxEpochs: z
    .preprocess(
      numeric,
      z.int('must be a whole number, 1 or more').min(1, 'must be 1 or more').max(MAX_COUNT),
    )
    .describe('times that all queries are gone through'),
  output: z
    .preprocess(none, z.string().nullable().default('./experiments'))
    .describe('folder that the checkpoint is written to; none: nowhere'),
  textFeatures: optionalText().describe("file for the queries' features; none: not written"),
  name: optionalText().describe("name that the checkpoint says [the starting checkpoint's]"),
  imagesPerQuery: z
    .preprocess(numeric, z.int().min(1).max(MAX_IMAGES_PER_QUERY).default(5))
    .describe('images fetched per query; epoch n steps on number n mod this'),
  batchSize: count(128).describe('queries in an online step'),
  contextLength: z
    .preprocess(numeric, z.int().min(3).max(MAX_CONTEXT_LENGTH).default(24))
    .describe('tokens of a text, [CLS] and [SEP] included'),
  lr: number(z.number().positive(), 0.75e-5).describe('peak learning rate'),
  warmup: count(100, 0).describe('steps over which the learning rate rises to lr'),
  beta1: number(z.number().min(0).lt(1), 0.9).describe("decay of the gradient's mean"),
  beta2: number(z.number().min(0).lt(1), 0.98).describe("decay of the gradient's square"),
  eps: number(z.number().positive(), 1e-6).describe("optimizer's epsilon"),
  wd: number(z.number().min(0), 0.01).describe('decoupled weight decay'),
  optimizer: z.enum(['lamb', 'adamw']).default('lamb').describe('ours: LAMB as apex computes it, or AdamW'),
  loss: z.enum(['dsl', 'clip']).default('dsl').describe('ours: dual softmax loss, or symmetric InfoNCE'),
  freezeVision: flag().describe('leave the image tower as it is'),
  visionModel: z.string().default('ViT-B-16').describe('preset of the image tower'),
  textModel: z.string().default('RoBERTa-wwm-ext-base-chinese').describe('preset of the text tower'),
  seed: count(123, 0).describe('of dropout and of the order of replayed pairs'),
  numWorkers: z
    .preprocess(numeric, z.int().min(0).max(MAX_WORKERS).default(4))
    .describe('threads that decode images; 0: on the calling thread'),
  trainData: optionalText().describe('LMDB folder of the training split, for replay-ratio'),
  gateData: optionalText().describe(
    'ours: LMDB folder of a held-out split that recall is measured on before and after',
  ),
  ...onlineOptionSchemas,
};

export const ADAPT_OPTION_NAMES = Object.keys(
  adaptOptionSchemas,
) as readonly (keyof typeof adaptOptionSchemas)[];

/** Options with every default filled in. `null` is "none". */
export type AdaptOptions = Readonly<z.output<z.ZodObject<typeof adaptOptionSchemas>>> & {
  readonly gateMaxDrop: MaxDrop | null;
};

/**
 * Validates options of test-time online learning, by the names of the command line in any of its spellings.
 *
 * @throws InvalidInputError naming the option and the value.
 */
export function parseAdaptOptions(given: Readonly<Record<string, unknown>>): AdaptOptions {
  const options = parseOptions(adaptOptionSchemas, given, 'option of online learning');
  requireImages(options);
  const { replayRatio, trainData, gateMaxDrop, gateData, onlineScope, onlineQueries } = options;
  if (replayRatio > 0 && trainData === null) throw missing('trainData', `replay-ratio ${replayRatio}`);
  if (gateMaxDrop !== null && gateData === null) throw missing('gateData', 'gate-max-drop');
  if (onlineScope === 'exclude-scored' && onlineQueries === null)
    throw missing('onlineQueries', 'online-scope exclude-scored');
  if (onlineScope === 'all' && onlineQueries !== null)
    throw new InvalidInputError('goes with online-scope exclude-scored only', { place: 'online-queries' });
  return Object.freeze(options);
}

const missing = (name: keyof typeof adaptOptionSchemas, reason: string) =>
  new InvalidInputError(`is required with ${reason}`, { place: kebabCase(name) });
