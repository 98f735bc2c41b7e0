import { existsSync } from 'node:fs';
import { inspectCheckpoint, loadParameters } from '@online-cnclip/checkpoint';
import { openDataset, readTextsJsonl } from '@online-cnclip/dataset';
import { InvalidInputError, NotFoundError, releaseArrays } from '@online-cnclip/foundation';
import { type ModelConfig, parameterSpecs, resolveModelConfig } from '@online-cnclip/network';
import { loadTokenizer } from '@online-cnclip/tokenizer';
import { openDecoder } from '../open-data.ts';
import { openOrClose } from '../open-or-close.ts';
import { optimizerOptionsOf } from '../optimizer-options.ts';
import { kebabCase } from '../option-fields.ts';
import { BATCHES_AHEAD, type DecodeImage, type EncodeTexts } from '../pair-loader.ts';
import type { OptimizerOptions, TrainStep } from '../train-step.ts';
import { ValidationSplit } from '../validation-split.ts';
import type { AdaptOptions } from './adapt-options.ts';
import type { AdaptEvent, AdaptPorts } from './adapt-ports.ts';
import { openCachedImages } from './cached-images.ts';
import type { ImageSource } from './image-source.ts';
import { onlineStepRows } from './online-batches.ts';
import { withoutScored } from './query-plan.ts';
import { Replay } from './replay.ts';

/** A query that is scored. */
export interface ScoredQuery {
  readonly textId: string;
  readonly text: string;
}

/** Everything that an adaptation holds open. */
export interface OpenedAdaptation {
  readonly options: AdaptOptions;
  readonly ports: AdaptPorts;
  readonly step: TrainStep;
  readonly optimizer: OptimizerOptions;
  readonly images: ImageSource;
  readonly decode: DecodeImage;
  readonly encode: EncodeTexts;
  readonly resolution: number;
  readonly scored: readonly ScoredQuery[];
  /** Queries that are stepped on, in their order. */
  readonly texts: readonly string[];
  readonly replay: Replay | undefined;
  readonly gate: ValidationSplit | undefined;
  /** What the starting checkpoint says of itself. */
  readonly start: { readonly epoch: number; readonly step: number; readonly name: string };
  close(): Promise<void>;
}

const INPUTS = ['model', 'queries', 'onlineQueries', 'trainData', 'gateData', 'cacheFolder'] as const;

/**
 * What can be said of an adaptation without starting it: that its models are known and its inputs are there.
 *
 * @throws InvalidInputError for an unknown model, NotFoundError for a missing input, each naming the option.
 */
export function checkAdaptInputs(options: AdaptOptions): void {
  resolveModelConfig(options.visionModel, options.textModel);
  for (const name of INPUTS) {
    const path = options[name];
    const isUsed = name !== 'cacheFolder' || options.onlineCache;
    if (isUsed && path !== null && !existsSync(path))
      throw new NotFoundError(`there is no ${JSON.stringify(path)}`, { place: kebabCase(name) });
  }
}

/** @throws as adapt() does; what was opened is closed again. */
export function openAdaptation(
  options: AdaptOptions,
  ports: AdaptPorts,
  onEvent: (event: AdaptEvent) => void,
): Promise<OpenedAdaptation> {
  return openOrClose((closers) => open(options, ports, onEvent, closers));
}

async function open(
  options: AdaptOptions,
  ports: AdaptPorts,
  onEvent: (event: AdaptEvent) => void,
  closers: AsyncDisposableStack,
): Promise<OpenedAdaptation> {
  checkAdaptInputs(options);
  const config = ports.modelConfig ?? resolveModelConfig(options.visionModel, options.textModel);
  const scored = await readQueries(options.queries, 'queries');
  const texts = await textsToStepOn(options, scored);
  const images = openImages(options, ports);
  closers.defer(() => images.close());
  const { imageResolution: resolution } = config.vision;
  const rows = onlineStepRows(options.batchSize, options.replayRatio);
  const { numWorkers: threads } = options;
  const decode = openDecoder({ threads, maxQueued: (BATCHES_AHEAD + 2) * rows, resolution }, closers);
  const tokenizer = loadTokenizer();
  const encode: EncodeTexts = (given) => tokenizer.encode(given, options.contextLength);
  const data = openDataSets(options, { decode, encode, resolution }, closers);
  const { epoch = 0, step: startStep = 0, name } = await inspectCheckpoint(options.model);
  const step = await createStep(options, config, ports, rows);
  closers.defer(() => step.dispose());
  const stepsPerEpoch = Math.ceil(texts.length / options.batchSize);
  onEvent({
    kind: 'started',
    totalSteps: stepsPerEpoch * options.maxEpochs,
    totalEpochs: options.maxEpochs,
    stepsPerEpoch,
    startStep: 0,
    pairs: texts.length,
    resumedFrom: options.model,
  });
  return {
    options,
    ports,
    step,
    optimizer: optimizerOptionsOf(options),
    images,
    decode,
    encode,
    resolution,
    scored,
    texts,
    ...data,
    start: { epoch, step: startStep, name: options.name ?? name ?? 'online' },
    close: () => closers.disposeAsync(),
  };
}

async function readQueries(path: string, place: string): Promise<ScoredQuery[]> {
  const queries: ScoredQuery[] = [];
  for await (const { textId, text } of readTextsJsonl(path)) queries.push({ textId, text });
  if (queries.length === 0) throw new InvalidInputError(`${JSON.stringify(path)} holds no query`, { place });
  return queries;
}

async function textsToStepOn(
  { onlineQueries }: AdaptOptions,
  scored: readonly ScoredQuery[],
): Promise<readonly string[]> {
  const scoredTexts = scored.map(({ text }) => text);
  if (onlineQueries === null) return scoredTexts;
  const others = await readQueries(onlineQueries, 'online-queries');
  return withoutScored(
    others.map(({ text }) => text),
    scoredTexts,
    'online-queries',
  );
}

function openImages(
  { onlineCache, cacheFolder, crawlerAddress }: AdaptOptions,
  ports: AdaptPorts,
): ImageSource {
  return onlineCache
    ? openCachedImages(cacheFolder as string, 'test')
    : ports.crawledImages(crawlerAddress as string);
}

interface Codecs {
  readonly decode: DecodeImage;
  readonly encode: EncodeTexts;
  readonly resolution: number;
}

function openDataSets(
  { trainData, gateData, replayRatio, seed, batchSize }: AdaptOptions,
  { decode, encode, resolution }: Codecs,
  closers: AsyncDisposableStack,
): Pick<OpenedAdaptation, 'replay' | 'gate'> {
  const opened = (path: string) => {
    const dataset = openDataset(path);
    closers.defer(() => dataset.close());
    return dataset;
  };
  const replay =
    trainData === null || replayRatio === 0 ? undefined : new Replay(opened(trainData), decode, seed);
  if (gateData === null) return { replay, gate: undefined };
  const source = opened(gateData);
  const gate = new ValidationSplit({
    source,
    imageIds: [...source.imageIds()],
    decode: (bytes) => decode(bytes, seed),
    encode,
    resolution,
    batchSize,
    place: 'gate-data',
  });
  return { replay, gate };
}

async function createStep(
  options: AdaptOptions,
  config: ModelConfig,
  { createTrainStep, runtime }: AdaptPorts,
  batchSize: number,
): Promise<TrainStep> {
  const { contextLength, loss, freezeVision, seed } = options;
  const { parameters } = await loadParameters(options.model, parameterSpecs(config));
  const optimizer = optimizerOptionsOf(options);
  const given = {
    config,
    parameters,
    runtime,
    batchSize,
    contextLength,
    loss,
    optimizer,
    freezeVision,
    seed,
  };
  const step = await createTrainStep(given);
  // The step has copies of its own.
  releaseArrays(parameters.values());
  return step;
}
