import { status } from '@grpc/grpc-js';
import { STATUS_OF_KIND } from '@online-cnclip/contracts';
import type { ItemStatus } from '@online-cnclip/contracts/common/v1';
import {
  type Checkpoint,
  type Run,
  RunState,
  type StepReport,
  type ValidationReport,
  type WatchRunResponse,
} from '@online-cnclip/contracts/trainer/v1';
import type { DataFolder } from '@online-cnclip/foundation';
import type { StepEvent, ValidationEvent } from '@online-cnclip/training';
import {
  adaptationOptionsMessage,
  gateMessage,
  onlineMessage,
  onlineStepMessage,
} from './adaptation-message.ts';
import { runOptionsMessage } from './options-message.ts';
import { recallMessage } from './recall-message.ts';
import type { RunFailure, RunRecord, RunState as State } from './runs/run-record.ts';
import type { RunUpdate } from './runs/watch-feed.ts';

const STATES: Readonly<Record<State, RunState>> = {
  starting: RunState.RUN_STATE_STARTING,
  running: RunState.RUN_STATE_RUNNING,
  stopping: RunState.RUN_STATE_STOPPING,
  completed: RunState.RUN_STATE_COMPLETED,
  stopped: RunState.RUN_STATE_STOPPED,
  failed: RunState.RUN_STATE_FAILED,
  interrupted: RunState.RUN_STATE_INTERRUPTED,
};

export const runStateMessage = (state: State): RunState => STATES[state];

export function runMessage(record: RunRecord, root: DataFolder): Run {
  const checkpoint = record.checkpoints.at(-1);
  return {
    name: record.name,
    state: STATES[record.state],
    options: record.options && runOptionsMessage(record.options, root),
    step: BigInt(record.step),
    totalSteps: BigInt(record.totalSteps),
    epoch: record.epoch,
    totalEpochs: record.totalEpochs,
    latestStep: record.latestStep && stepMessage(record.latestStep),
    latestValidation: record.latestValidation && validationMessage(record.latestValidation),
    latestCheckpoint: checkpoint && checkpointMessage(checkpoint, root),
    startTime: new Date(record.startedAt),
    endTime: record.endedAt === undefined ? undefined : new Date(record.endedAt),
    error: record.failure && failureMessage(record.failure),
    folder: root.relative(record.folder),
    adaptation:
      record.adaptation &&
      adaptationOptionsMessage(record.name, record.adaptation, record.serve ?? false, root),
    latestOnlineStep: record.latestOnlineStep && onlineStepMessage(record.latestOnlineStep),
    online: record.online && onlineMessage(record.online),
    gate: record.gate && gateMessage(record.gate),
    servedCheckpoint: record.servedCheckpoint === undefined ? '' : root.relative(record.servedCheckpoint),
  };
}

export function updateMessage(update: RunUpdate, root: DataFolder): WatchRunResponse {
  return { time: new Date(update.at), event: eventMessage(update, root) };
}

function eventMessage(update: RunUpdate, root: DataFolder): WatchRunResponse['event'] {
  switch (update.kind) {
    case 'record':
      return { $case: 'run', value: runMessage(update.record, root) };
    case 'step':
      return { $case: 'step', value: stepMessage(update) };
    case 'validation':
      return { $case: 'validation', value: validationMessage(update) };
    case 'online-step':
      return { $case: 'onlineStep', value: onlineStepMessage(update) };
    case 'gate':
      return { $case: 'gate', value: gateMessage(update) };
    case 'checkpoint':
      return { $case: 'checkpoint', value: checkpointMessage(update, root) };
  }
}

export interface CheckpointFile {
  readonly path: string;
  readonly epoch: number;
  readonly step: number;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly savedAt: number;
}

export function checkpointMessage(file: CheckpointFile, root: DataFolder): Checkpoint {
  return {
    path: root.relative(file.path),
    epoch: file.epoch,
    step: BigInt(file.step),
    bytes: BigInt(file.bytes),
    saveTime: new Date(file.savedAt),
  };
}

function stepMessage(event: StepEvent): StepReport {
  return {
    step: BigInt(event.step),
    totalSteps: BigInt(event.totalSteps),
    epoch: event.epoch,
    loss: event.loss,
    imageToTextAccuracy: event.imageToTextAccuracy,
    textToImageAccuracy: event.textToImageAccuracy,
    learningRate: event.learningRate,
    logitScale: event.logitScale,
    pairsPerSecond: event.pairsPerSecond,
    stepSeconds: event.stepSeconds,
    dataSeconds: event.dataSeconds,
    etaSeconds: event.etaSeconds,
    replicas: [...(event.replicas ?? [])],
    lossScale: event.lossScale,
    skippedSteps: event.skippedSteps === undefined ? undefined : BigInt(event.skippedSteps),
  };
}

function validationMessage(event: ValidationEvent): ValidationReport {
  const { recall } = event;
  return {
    step: BigInt(event.step),
    epoch: event.epoch,
    loss: event.loss,
    imageToTextAccuracy: event.imageToTextAccuracy,
    textToImageAccuracy: event.textToImageAccuracy,
    recall: recallMessage(recall),
    online: event.online && onlineMessage(event.online),
    seconds: event.seconds,
  };
}

function failureMessage({ kind, message }: RunFailure): ItemStatus {
  return { code: kind === 'internal' ? status.INTERNAL : STATUS_OF_KIND[kind], message };
}
