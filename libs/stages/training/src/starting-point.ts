import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  inspectCheckpoint,
  loadParameters,
  readCheckpoint,
} from '@online-cnclip/checkpoint';
import { FailedPreconditionError, type NamedArrays } from '@online-cnclip/foundation';
import { initializeParameters, type ModelConfig, parameterSpecs } from '@online-cnclip/network';
import { type DataOrder, lossScaleOf } from './checkpoint-writer.ts';
import type { TrainingOptions } from './options.ts';
import { LATEST_CHECKPOINT } from './run-files.ts';
import type { LossScaleState, OptimizerState } from './train-step.ts';
import type { TrainingLog } from './training-log.ts';

/** What training starts from. */
export interface StartingPoint {
  readonly parameters: NamedArrays;
  /** Absent: fresh. */
  readonly optimizer?: OptimizerState;
  /** Of a checkpoint that was trained in half precision. */
  readonly lossScale?: LossScaleState | undefined;
  /** Steps already trained. */
  readonly step: number;
  readonly resumedFrom?: string;
  /** Whether the validation that was due there is still to come. */
  readonly validationPending?: boolean;
}

export interface StartingPointRequest {
  readonly options: TrainingOptions;
  readonly config: ModelConfig;
  /** The experiment's folder of checkpoints; absent where it keeps none. */
  readonly checkpoints: string | undefined;
  readonly stepsPerEpoch: number;
  readonly order: DataOrder;
  readonly log: TrainingLog;
}

/**
 * The checkpoint to resume from, else fresh parameters with the towers' pretrained weights over them.
 *
 * @throws NotFoundError for a checkpoint or weight file that is not there; FailedPreconditionError for a checkpoint
 *   whose position is not one of this data set and batch size.
 */
export async function findStartingPoint(request: StartingPointRequest): Promise<StartingPoint> {
  const path = request.options.resume ?? latestOf(request.checkpoints);
  return path === undefined ? fresh(request) : resume(request, path);
}

function latestOf(checkpoints: string | undefined): string | undefined {
  if (checkpoints === undefined) return undefined;
  const path = join(checkpoints, LATEST_CHECKPOINT);
  return existsSync(path) ? path : undefined;
}

async function resume(request: StartingPointRequest, path: string): Promise<StartingPoint> {
  const { options, config, log } = request;
  log.info(`=> begin to load checkpoint '${path}'`);
  const { parameters, resized } = await loadParameters(path, parameterSpecs(config));
  for (const name of resized)
    log.info(`=> ${name} is interpolated to the resolution of ${options.visionModel}`);
  const { epoch, step, extra, optimizer } = options.resetOptimizer
    ? { ...(await inspectCheckpoint(path)), optimizer: undefined }
    : await readCheckpoint(path);
  const start = options.resetDataOffset ? 0 : positionOf({ epoch, step, extra }, request, path);
  const pending = extra?.['validationPending'] === true && !options.resetDataOffset;
  if (optimizer) assertSameOptimizer(optimizer.kind, options.optimizer, path);
  if (optimizer) log.info('=> optimizer state is restored from the checkpoint');
  else if (!options.resetOptimizer) log.warn('=> the checkpoint has no optimizer state: it starts afresh');
  log.info(`=> loaded checkpoint '${path}' (epoch ${epoch} @ ${step} steps)`);
  const lossScale = lossScaleOf(extra);
  return {
    parameters,
    ...(optimizer && { optimizer, lossScale }),
    step: start,
    resumedFrom: path,
    ...(pending && { validationPending: true }),
  };
}

function assertSameOptimizer(stored: string | undefined, wanted: string, path: string): void {
  if (stored !== undefined && stored !== wanted)
    throw new FailedPreconditionError(
      `holds the state of ${stored}, and this run uses ${wanted}; pass reset-optimizer to start it afresh`,
      { place: path },
    );
}

/** The steps that a checkpoint has behind it, checked against the epochs of this run. */
function positionOf(
  { epoch, step, extra }: Pick<Checkpoint, 'epoch' | 'step' | 'extra'>,
  { stepsPerEpoch, order, log }: StartingPointRequest,
  path: string,
): number {
  const advice = 'pass reset-data-offset to start at the first step';
  if (epoch === undefined || step === undefined)
    throw new FailedPreconditionError(`says no epoch and step to go on from; ${advice}`, { place: path });
  if (step < (epoch - 1) * stepsPerEpoch || step > epoch * stepsPerEpoch)
    throw new FailedPreconditionError(
      `stands at step ${step} of epoch ${epoch}, but epochs have ${stepsPerEpoch} steps with this data set and batch size; ${advice}`,
      { place: path },
    );
  for (const name of ['seed', 'batchSize', 'pairs'] as const)
    if (extra?.[name] !== undefined && extra[name] !== order[name])
      log.warn(
        `${name} is ${order[name]}, but the checkpoint was trained with ${extra[name]}: the rest of its epoch has other batches`,
      );
  return step;
}

async function fresh({ options, config, log }: StartingPointRequest): Promise<StartingPoint> {
  const parameters = new Map(initializeParameters(config, options.seed));
  for (const [path, option, part] of [
    [options.clipWeightPath, 'clip-weight-path', 'vision'],
    [options.bertWeightPath, 'bert-weight-path', 'text'],
  ] as const) {
    if (path === null) continue;
    // A file with one tower only has no logit scale: the initial one stays.
    const mayMiss = (name: string) => name === 'logit_scale';
    const loaded = await loadParameters(path, parameterSpecs(config), { part, mayMiss });
    for (const [name, array] of loaded.parameters) parameters.set(name, array);
    log.info(`${option}: ${loaded.parameters.size} tensors are initialised from '${path}'`);
  }
  return { parameters, step: 0 };
}
