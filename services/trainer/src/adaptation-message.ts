import { join } from 'node:path';
import {
  type AdaptationOptions,
  type GateReport,
  ImageSource,
  Loss,
  type OnlineReport,
  type OnlineStepReport,
  Optimizer,
} from '@online-cnclip/contracts/trainer/v1';
import { type DataFolder, InvalidInputError } from '@online-cnclip/foundation';
import {
  type AdaptOptions,
  type GateEvent,
  maxDropText,
  type OnlineCounts,
  type OnlineStepEvent,
  type OnlineSummary,
  parseAdaptOptions,
} from '@online-cnclip/training';
import {
  CACHE,
  EXPERIMENTS,
  knownValue,
  LOSSES,
  OPTIMIZERS,
  plain,
  SCOPE_MESSAGES,
  SCOPES,
} from './options-message.ts';
import { recallMessage } from './recall-message.ts';

const PLAIN = [
  'maxEpochs',
  'imagesPerQuery',
  'batchSize',
  'contextLength',
  'lr',
  'warmup',
  'beta1',
  'beta2',
  'eps',
  'wd',
  'freezeVision',
  'visionModel',
  'textModel',
  'seed',
  'numWorkers',
  'onlineCache',
  'replayRatio',
  'maskDuplicates',
] as const satisfies readonly (keyof AdaptationOptions & keyof AdaptOptions)[];

const SOURCES = {
  crawl: ImageSource.IMAGE_SOURCE_CRAWL,
  cache: ImageSource.IMAGE_SOURCE_CACHE,
  offline: ImageSource.IMAGE_SOURCE_OFFLINE,
} as const;

/** A run of test-time online learning: what is done, and where its files go. */
export interface AdaptationPlan {
  readonly name: string;
  readonly folder: string;
  readonly options: AdaptOptions;
}

/**
 * Options with absolute paths and every default; the checkpoint goes into the run's own folder.
 *
 * @param crawlerAddress the service's own; absent: images can come from the cache only.
 * @throws InvalidInputError naming the option.
 */
export function adaptationPlanOf(
  message: AdaptationOptions,
  root: DataFolder,
  now: Date,
  crawlerAddress: string | undefined,
): AdaptationPlan {
  const path = (value: string | undefined, option: string) =>
    value === undefined || value === '' ? undefined : root.resolve(value, option);
  for (const [field, option] of [
    ['model', 'model'],
    ['queries', 'queries'],
  ] as const)
    if (message[field] === '') throw new InvalidInputError('is required', { place: option });
  const name = requireName(message.name || madeUpName(now));
  const folder = join(root.path, EXPERIMENTS, name);
  const given: Record<string, unknown> = {
    name,
    model: path(message.model, 'model'),
    queries: path(message.queries, 'queries'),
    onlineQueries: path(message.onlineQueries, 'online-queries'),
    output: join(folder, 'checkpoints'),
    textFeatures: path(message.textFeatures, 'text-features'),
    trainData: path(message.trainData, 'train-data'),
    gateData: path(message.gateData, 'gate-data'),
    cacheFolder: path(message.cacheFolder ?? CACHE, 'cache-folder'),
    crawlerAddress,
    gateMaxDrop: message.gateMaxDrop || undefined,
    onlineScope: knownValue(SCOPES, message.onlineScope, 'online-scope'),
    loss: knownValue(LOSSES, message.loss, 'loss'),
    optimizer: knownValue(OPTIMIZERS, message.optimizer, 'optimizer'),
  };
  for (const field of PLAIN) given[field] = plain(message[field]);
  return { name, folder, options: parseAdaptOptions(given) };
}

/** The name becomes a folder. */
function requireName(name: string): string {
  if (!/^[^/\\\p{Cc}]{1,200}$/u.test(name) || name === '.' || name === '..')
    throw new InvalidInputError(`${JSON.stringify(name)} is not the name of a folder`, { place: 'name' });
  return name;
}

const madeUpName = (now: Date): string => `${now.toISOString().slice(0, 19).replace(/[T:]/g, '-')}_online`;

/** Options as callers give them: paths relative to the data folder. */
export function adaptationOptionsMessage(
  name: string,
  options: AdaptOptions,
  serve: boolean,
  root: DataFolder,
): AdaptationOptions {
  const path = (value: string | null) => (value === null ? '' : root.relative(value));
  const { output: _, crawlerAddress: __, ...given } = options;
  return {
    ...given,
    name,
    model: path(options.model),
    queries: path(options.queries),
    onlineQueries: path(options.onlineQueries),
    textFeatures: path(options.textFeatures),
    trainData: path(options.trainData),
    gateData: path(options.gateData),
    cacheFolder: path(options.cacheFolder),
    gateMaxDrop: options.gateMaxDrop === null ? '' : maxDropText(options.gateMaxDrop),
    onlineScope: SCOPE_MESSAGES[options.onlineScope],
    loss: options.loss === 'clip' ? Loss.LOSS_CLIP : Loss.LOSS_DSL,
    optimizer: options.optimizer === 'adamw' ? Optimizer.OPTIMIZER_ADAMW : Optimizer.OPTIMIZER_LAMB,
    warmup: BigInt(options.warmup),
    seed: BigInt(options.seed),
    serve,
  };
}

export function onlineStepMessage(event: OnlineStepEvent): OnlineStepReport {
  return {
    ...event,
    ...leftOutMessage(event),
    step: BigInt(event.step),
    totalSteps: BigInt(event.totalSteps),
    loss: event.loss,
  };
}

export function onlineMessage(summary: OnlineSummary): OnlineReport {
  return {
    ...summary,
    ...leftOutMessage(summary),
    scope: SCOPE_MESSAGES[summary.scope],
    source: SOURCES[summary.source],
    steps: BigInt(summary.steps),
    queries: BigInt(summary.queries),
    pairs: BigInt(summary.pairs),
    cached: BigInt(summary.cached),
    replayed: BigInt(summary.replayed),
  };
}

export function gateMessage({ before, after, drop, maxDrop, passed, seconds }: GateEvent): GateReport {
  return {
    before: recallMessage(before),
    after: recallMessage(after),
    drop,
    maxDrop: maxDrop ? maxDropText(maxDrop) : '',
    passed,
    seconds,
  };
}

const leftOutMessage = ({ leftOut }: OnlineCounts) => ({
  leftOut: Object.fromEntries(Object.entries(leftOut).map(([reason, count]) => [reason, BigInt(count)])),
});
