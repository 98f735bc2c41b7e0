import {
  Augmentation,
  ListRunsRequest,
  Loss,
  Optimizer,
  type Run,
  RunOptions,
  RunState,
  type StepReport,
  type ValidationReport,
} from '@online-cnclip/contracts/trainer/v1';
import { FailedPreconditionError } from '@online-cnclip/foundation';
import type { ProgressTask } from '../progress.ts';
import type { JobContext } from './context.ts';
import { lmdbOf } from './dataset.ts';
import { watchRun } from './watch-run.ts';

export const VISION_MODEL = 'ViT-mini-8-48';
export const TEXT_MODEL = 'RoBERTa-mini-chinese';
/** Enough for every label ([CLS] and [SEP] included); the few longer tags are cut. */
export const CONTEXT_LENGTH = 16;

/** A name that sorts by time: `20261124T143850`. */
export const timeName = (): string => new Date().toISOString().replaceAll(/[-:]/g, '').slice(0, 15);

/** Runs of the demo are told from a user's own by this. */
const RUN_PREFIX = 'emoji-';
export const SEED = 1;
const LEARNING_RATE = 1e-3;
const WARMUP_STEPS = 50;
const VALIDATIONS_PER_RUN = 4;

/** Trains a fresh model on the data set. @returns the checkpoint's path, relative to the services' data folder. */
export async function trainModel(
  context: JobContext,
  { maxSteps, batchSize }: { readonly maxSteps: number; readonly batchSize: number },
): Promise<string> {
  const { clients, progress, signal } = context;
  const options = RunOptions.fromPartial({
    name: `${RUN_PREFIX}${timeName()}`,
    trainData: lmdbOf('train'),
    valData: lmdbOf('valid'),
    visionModel: VISION_MODEL,
    textModel: TEXT_MODEL,
    contextLength: CONTEXT_LENGTH,
    batchSize,
    validBatchSize: batchSize,
    maxSteps: BigInt(maxSteps),
    augmentation: Augmentation.AUGMENTATION_BASIC,
    loss: Loss.LOSS_CLIP,
    optimizer: Optimizer.OPTIMIZER_ADAMW,
    lr: LEARNING_RATE,
    wd: 0.01,
    warmup: BigInt(Math.min(WARMUP_STEPS, maxSteps)),
    validStepInterval: BigInt(Math.max(1, Math.ceil(maxSteps / VALIDATIONS_PER_RUN))),
    validEpochInterval: 0,
    saveEpochFrequency: 0,
    saveStepFrequency: 0n,
    reportTrainingBatchAcc: true,
    logInterval: 5,
    seed: BigInt(SEED),
  });
  const { run } = await clients.trainer.startRun({ options }, { signal });
  const task = progress.start('train', maxSteps);
  return checkpointOf(await watchTraining(context, run?.name ?? options.name, task));
}

/** The checkpoint of the demo's latest completed run; undefined when there is none. */
export async function findTrainedModel({ clients, signal }: JobContext): Promise<string | undefined> {
  const completed = ListRunsRequest.fromPartial({ states: [RunState.RUN_STATE_COMPLETED] });
  const { runs } = await clients.trainer.listRuns(completed, { signal });
  const latest = runs.find(({ name, latestCheckpoint }) => name.startsWith(RUN_PREFIX) && latestCheckpoint);
  return latest && checkpointOf(latest);
}

async function watchTraining(context: JobContext, name: string, task: ProgressTask): Promise<Run> {
  let latest: Run | undefined;
  let validation = '';
  for await (const { event } of watchRun(context, name)) {
    if (event?.$case === 'run') latest = event.value;
    else if (event?.$case === 'validation') validation = formatValidation(event.value);
    else if (event?.$case === 'step') {
      const { step, etaSeconds } = event.value;
      task.update(Number(step), [formatStep(event.value), validation].filter(Boolean).join(', '), etaSeconds);
    }
  }
  const completed = requireCompleted(name, latest);
  task.finish(validation);
  return completed;
}

/** @throws FailedPreconditionError with the run's error when it ended in any other way. */
export function requireCompleted(name: string, run: Run | undefined): Run {
  if (run?.state === RunState.RUN_STATE_COMPLETED) return run;
  const reason = run?.error?.message || `it ended as ${stateName(run?.state)}`;
  throw new FailedPreconditionError(`did not complete: ${reason}`, { place: `run ${name}` });
}

function checkpointOf({ name, latestCheckpoint }: Run): string {
  if (!latestCheckpoint) throw new FailedPreconditionError('has no checkpoint', { place: `run ${name}` });
  return latestCheckpoint.path;
}

const formatStep = ({ step, totalSteps, loss, pairsPerSecond }: StepReport): string =>
  `step ${step} of ${totalSteps}, loss ${loss.toFixed(3)}, ${pairsPerSecond.toFixed(0)} pairs/s`;

const formatValidation = ({ recall }: ValidationReport): string =>
  recall ? `validation R@10 ${recall.recallAt10.toFixed(1)} %` : '';

const stateName = (state: RunState | undefined): string =>
  Object.keys(RunState).find((name) => RunState[name as keyof typeof RunState] === state) ?? 'unknown';
