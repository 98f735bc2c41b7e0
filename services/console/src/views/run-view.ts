import {
  Augmentation,
  type Checkpoint,
  Loss,
  Optimizer,
  Precision,
  type Run,
  type RunOptions,
  RunState,
  type StepReport,
  type ValidationReport,
} from '@online-cnclip/contracts/trainer/v1';
import type { CheckpointView, RunStateName, RunView, StepPoint, ValidationPoint } from '../wire.ts';
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
    latest: run.latestStep ? stepPoint(run.latestStep) : null,
    validation: run.latestValidation ? validationPoint(run.latestValidation) : null,
    options: run.options ? optionsView(run.options) : {},
  };
}

export const stepPoint = (report: StepReport): StepPoint => ({
  step: Number(report.step),
  loss: report.loss,
  learningRate: report.learningRate,
  pairsPerSecond: report.pairsPerSecond,
  etaSeconds: report.etaSeconds,
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
  const known = Object.entries(enums).filter(([, name]) => name !== 'unknown');
  return { ...fieldsOf(plain), ...Object.fromEntries(known) };
}
