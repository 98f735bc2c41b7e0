import {
  type AdaptationOptions,
  Augmentation,
  type Checkpoint,
  type GateReport,
  ImageSource,
  Loss,
  type OnlineReport,
  OnlineScope,
  type OnlineStepReport,
  Optimizer,
  Precision,
  type Run,
  type RunOptions,
  RunState,
  type StepReport,
  type ValidationReport,
} from '@online-cnclip/contracts/trainer/v1';
import type { CheckpointView, GateView, RunStateName, RunView, StepPoint, ValidationPoint } from '../wire.ts';
import { enumName, fieldsOf, timeOf } from './scalars.ts';

export function runView(run: Run): RunView {
  return {
    name: run.name,
    state: enumName(RunState, 'RUN_STATE_', run.state) as RunStateName,
    step: Number(run.step),
    totalSteps: Number(run.totalSteps),
    epoch: run.epoch,
    totalEpochs: run.totalEpochs,
    startedAt: timeOf(run.startTime),
    endedAt: timeOf(run.endTime),
    error: run.error?.message ?? '',
    folder: run.folder,
    latest: latestPoint(run),
    validation: run.latestValidation ? validationPoint(run.latestValidation) : null,
    gate: run.gate ? gateView(run.gate) : null,
    online: run.online ? onlineView(run.online) : {},
    servedCheckpoint: run.servedCheckpoint,
    options: {
      ...(run.options && optionsView(run.options)),
      ...(run.adaptation && adaptationView(run.adaptation)),
    },
  };
}

export const stepPoint = (report: StepReport): StepPoint => ({
  step: Number(report.step),
  loss: report.loss,
  learningRate: report.learningRate,
  pairsPerSecond: report.pairsPerSecond,
  etaSeconds: report.etaSeconds,
});

/** A step on fetched images; null when no query had one, which leaves a gap in the curve. */
export function onlineStepPoint(report: OnlineStepReport): StepPoint | null {
  const { step, loss, learningRate, pairs, replayed, stepSeconds, etaSeconds } = report;
  if (loss === undefined) return null;
  const pairsPerSecond = stepSeconds > 0 ? (pairs + replayed) / stepSeconds : 0;
  return { step: Number(step), loss, learningRate, pairsPerSecond, etaSeconds };
}

const latestPoint = ({ latestStep, latestOnlineStep }: Run): StepPoint | null => {
  if (latestStep) return stepPoint(latestStep);
  return latestOnlineStep ? onlineStepPoint(latestOnlineStep) : null;
};

export const gateView = ({ passed, before, after, drop, maxDrop }: GateReport): GateView => ({
  passed,
  before: before?.meanRecall ?? null,
  after: after?.meanRecall ?? null,
  drop,
  maxDrop,
});

export const validationPoint = ({ step, epoch, loss, recall }: ValidationReport): ValidationPoint => ({
  step: Number(step),
  epoch,
  loss,
  recallAt1: recall?.recallAt1 ?? null,
  recallAt5: recall?.recallAt5 ?? null,
  recallAt10: recall?.recallAt10 ?? null,
  meanRecall: recall?.meanRecall ?? null,
});

export const checkpointView = (checkpoint: Checkpoint): CheckpointView => ({
  path: checkpoint.path,
  epoch: checkpoint.epoch,
  step: Number(checkpoint.step),
  bytes: Number(checkpoint.bytes),
  savedAt: timeOf(checkpoint.saveTime),
});

function adaptationView({
  loss,
  optimizer,
  onlineScope,
  ...plain
}: AdaptationOptions): Record<string, string> {
  const enums = {
    loss: enumName(Loss, 'LOSS_', loss),
    optimizer: enumName(Optimizer, 'OPTIMIZER_', optimizer),
    onlineScope: enumName(OnlineScope, 'ONLINE_SCOPE_', onlineScope),
  };
  return { ...fieldsOf(plain), ...known(enums) };
}

function onlineView({ scope, source, ...plain }: OnlineReport): Record<string, string> {
  const enums = {
    scope: enumName(OnlineScope, 'ONLINE_SCOPE_', scope),
    source: enumName(ImageSource, 'IMAGE_SOURCE_', source),
  };
  return { ...known(enums), ...fieldsOf(plain) };
}

const known = (enums: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(enums).filter(([, name]) => name !== 'unknown'));

/** Options that later contracts add are shown too: only the enums need to be known. */
function optionsView({
  loss,
  optimizer,
  augmentation,
  precision,
  ...plain
}: RunOptions): Record<string, string> {
  const enums = {
    loss: enumName(Loss, 'LOSS_', loss),
    optimizer: enumName(Optimizer, 'OPTIMIZER_', optimizer),
    augmentation: enumName(Augmentation, 'AUGMENTATION_', augmentation),
    precision: enumName(Precision, 'PRECISION_', precision),
  };
  return { ...fieldsOf(plain), ...known(enums) };
}
