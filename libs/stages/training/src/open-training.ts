import { type Collectives, singleReplica } from '@online-cnclip/collectives';
import { releaseArrays } from '@online-cnclip/foundation';
import { type ModelConfig, resolveModelConfig } from '@online-cnclip/network';
import { CheckpointWriter } from './checkpoint-writer.ts';
import type { TrainingEvent } from './events.ts';
import { largestStep, type OnlineLearning, openOnlineLearning } from './online/online-learning.ts';
import { openData } from './open-data.ts';
import { openOrClose } from './open-or-close.ts';
import { optimizerOptionsOf } from './optimizer-options.ts';
import type { TrainingOptions } from './options.ts';
import type { PairLoader } from './pair-loader.ts';
import type { TrainingPorts } from './ports.ts';
import { checkTrainingInputs } from './preflight.ts';
import { trainingFingerprint } from './replicas/fingerprint.ts';
import { ReplicaGroup } from './replicas/replica-group.ts';
import {
  lockRunFolder,
  paramsLines,
  prepareRunFolder,
  type RunFiles,
  runFiles,
  writeParams,
} from './run-files.ts';
import { findStartingPoint, type StartingPoint } from './starting-point.ts';
import type { TrainStep } from './train-step.ts';
import { TrainingLog } from './training-log.ts';
import type { ValidationSplit } from './validation-split.ts';

/** Everything that a run holds open. */
export interface OpenedTraining {
  readonly options: TrainingOptions;
  readonly loader: PairLoader;
  readonly validation: ValidationSplit | undefined;
  readonly step: TrainStep;
  readonly collectives: Collectives;
  /** Absent where the run learns offline only. */
  readonly online: OnlineLearning | undefined;
  /** The same, where it can regroup. */
  readonly group: ReplicaGroup | undefined;
  /** What has to be the same on every replica. */
  readonly fingerprint: Readonly<Record<string, string>>;
  /** Absent where this replica writes no files. */
  readonly checkpoints: CheckpointWriter | undefined;
  readonly log: TrainingLog;
  readonly startStep: number;
  /** Whether the validation that was due at the start is still to come. */
  readonly validationPending: boolean;
  readonly totalSteps: number;
  readonly totalEpochs: number;
  close(): Promise<void>;
}

/**
 * Opens data sets, files and model of a run, and finds where it starts.
 *
 * @throws as train() does; what was opened is closed again.
 */
export function openTraining(
  options: TrainingOptions,
  ports: TrainingPorts,
  onEvent: (event: TrainingEvent) => void,
): Promise<OpenedTraining> {
  return openOrClose((closers) => open(options, ports, onEvent, closers));
}

async function open(
  options: TrainingOptions,
  ports: TrainingPorts,
  onEvent: (event: TrainingEvent) => void,
  closers: AsyncDisposableStack,
): Promise<OpenedTraining> {
  checkTrainingInputs(options);
  const config = resolveModelConfig(options.visionModel, options.textModel);
  const group = ports.replicas && new ReplicaGroup(ports.replicas);
  closers.defer(async () => group?.close());
  const collectives = group ?? ports.collectives ?? singleReplica();
  const data = openData(options, config.vision.imageResolution, collectives, closers);
  const online = openOnlineLearning(
    options,
    data.validation,
    { ...ports, collectives },
    config.vision.imageResolution,
    closers,
  );
  const stepsPerEpoch = data.loader.batchesPerEpoch;
  const totalSteps = options.maxSteps ?? options.maxEpochs * stepsPerEpoch;
  const totalEpochs = Math.ceil(totalSteps / stepsPerEpoch);

  const isWriter = collectives.rank === 0;
  const files = await createFiles(options, ports.now?.() ?? new Date(), isWriter, closers);
  const log = new TrainingLog(isWriter ? files?.log : undefined, options.debug, onEvent, collectives.rank);
  closers.defer(() => log.close());
  await describeRun(options, files, { totalSteps, totalEpochs }, collectives, log);

  const batchSize = options.batchSize * collectives.worldSize;
  const order = { seed: options.seed, batchSize, pairs: data.pairs };
  const start = await findStartingPoint({
    options,
    config,
    checkpoints: files?.checkpoints,
    stepsPerEpoch,
    order,
    log,
  });
  const step = await createStep(options, config, start, { ...ports, collectives });
  closers.defer(() => step.dispose());
  onEvent({
    kind: 'started',
    totalSteps,
    totalEpochs,
    stepsPerEpoch,
    startStep: start.step,
    pairs: data.pairs,
    ...(files && { folder: files.folder }),
    ...(start.resumedFrom !== undefined && { resumedFrom: start.resumedFrom }),
  });
  return {
    options,
    loader: data.loader,
    validation: data.validation,
    step,
    collectives,
    group,
    fingerprint: trainingFingerprint(options, config, data.identity),
    checkpoints:
      files && isWriter
        ? new CheckpointWriter(files.checkpoints, options.name, order, optimizerOptionsOf(options))
        : undefined,
    log,
    startStep: start.step,
    online,
    validationPending: start.validationPending ?? false,
    totalSteps,
    totalEpochs,
    close: () => closers.disposeAsync(),
  };
}

async function createStep(
  options: TrainingOptions,
  config: ModelConfig,
  start: StartingPoint,
  { createTrainStep, runtime, collectives }: TrainingPorts & { readonly collectives: Collectives },
): Promise<TrainStep> {
  const step = await createTrainStep({
    config,
    parameters: start.parameters,
    runtime,
    batchSize: options.batchSize,
    largestBatch: largestStep(options),
    contextLength: options.contextLength,
    loss: options.loss,
    optimizer: optimizerOptionsOf(options),
    freezeVision: options.freezeVision,
    seed: options.seed,
    ...(options.microBatchSize !== null && { microBatchSize: options.microBatchSize }),
    precision: options.precision,
    replicas: {
      collectives,
      aggregate: !options.skipAggregate,
      featureGradients: options.featureGradients,
      syncBatchNorm: options.useBnSync,
    },
  });
  const { parameters, optimizer, lossScale } = start;
  if (optimizer) await step.restore({ parameters, optimizer, lossScale });
  // The step has copies of its own.
  const { expAvg, expAvgSq } = start.optimizer ?? {};
  for (const arrays of [start.parameters, expAvg, expAvgSq]) releaseArrays(arrays?.values() ?? []);
  return step;
}

async function createFiles(
  { logs, name }: TrainingOptions,
  startedAt: Date,
  isWriter: boolean,
  closers: AsyncDisposableStack,
): Promise<RunFiles | undefined> {
  if (logs === null) return undefined;
  const files = runFiles(logs, name, startedAt);
  if (!isWriter) return files;
  closers.defer(await lockRunFolder(files));
  await prepareRunFolder(files);
  return files;
}

/** The params file, and the same lines in the log. */
async function describeRun(
  options: TrainingOptions,
  files: RunFiles | undefined,
  total: { readonly totalSteps: number; readonly totalEpochs: number },
  { rank, worldSize }: Collectives,
  log: TrainingLog,
): Promise<void> {
  const lines = paramsLines(
    { ...options, maxSteps: total.totalSteps, maxEpochs: total.totalEpochs },
    {
      aggregate: !options.skipAggregate,
      checkpointPath: files?.checkpoints,
      logPath: files?.log,
      rank,
      worldSize,
    },
  );
  if (files && rank === 0) await writeParams(files.params, lines);
  log.info('Params:');
  for (const line of lines) log.info(`  ${line}`);
  if (options.freezeVision) log.info('The visual encoder is freezed during training.');
  if (worldSize === 1 && (options.useBnSync || options.skipAggregate))
    log.debug('one replica: its batch is the whole batch, with and without use-bn-sync and skip-aggregate');
}
