import type { OnlineStepEvent, OnlineSummary } from './online/online-events.ts';
import type { Recall } from './ports.ts';

/** Every logInterval-th step. */
export interface StepEvent {
  readonly kind: 'step';
  /** Steps trained so far, this one included. */
  readonly step: number;
  readonly totalSteps: number;
  /** From 1. */
  readonly epoch: number;
  readonly totalEpochs: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly logitScale: number;
  /** Shares of the batch, 0 to 1; there with reportTrainingBatchAcc. */
  readonly imageToTextAccuracy?: number;
  readonly textToImageAccuracy?: number;
  /** With a precision that scales the loss: the scale, and the steps that were left out because they overflowed. */
  readonly lossScale?: number;
  readonly skippedSteps?: number;
  /** Of a step, waiting for its data: mean since the last report. */
  readonly dataSeconds: number;
  /** Of a step, data included: mean since the last report. */
  readonly stepSeconds: number;
  readonly pairsPerSecond: number;
  /** Until the last step, validations not counted. */
  readonly etaSeconds: number;
  /** By rank; absent where there is one replica. */
  readonly replicas?: readonly ReplicaPace[];
}

/** Where a replica's time went, of a step: mean since the last report. The one that is busy longest holds up all. */
export interface ReplicaPace {
  readonly rank: number;
  /** Of this replica's own pairs. */
  readonly pairsPerSecond: number;
  /** Waiting for its data. */
  readonly dataSeconds: number;
  /** Waiting for its data and computing. */
  readonly busySeconds: number;
  /** Waiting for other replicas, and for what they send. */
  readonly waitedSeconds: number;
}

export interface ValidationEvent {
  readonly kind: 'validation';
  readonly step: number;
  readonly epoch: number;
  /** Symmetric InfoNCE within batches, whatever the training loss, so that runs compare. */
  readonly loss: number;
  /** Shares within batches, 0 to 1. */
  readonly imageToTextAccuracy: number;
  readonly textToImageAccuracy: number;
  /** Text to image over the whole gallery. */
  readonly recall: Recall;
  /** What its online steps did; absent without online learning. */
  readonly online?: OnlineSummary;
  readonly seconds: number;
}

export interface CheckpointEvent {
  readonly kind: 'checkpoint';
  readonly path: string;
  readonly bytes: number;
  readonly step: number;
  readonly epoch: number;
  readonly seconds: number;
}

export interface StartedEvent {
  readonly kind: 'started';
  readonly totalSteps: number;
  readonly totalEpochs: number;
  readonly stepsPerEpoch: number;
  /** Steps that the checkpoint resumed from had behind it; 0 for a fresh run. */
  readonly startStep: number;
  readonly pairs: number;
  /** Absent where the run writes no files. */
  readonly folder?: string;
  readonly resumedFrom?: string;
}

export interface LogEvent {
  readonly kind: 'log';
  readonly level: 'DEBUG' | 'INFO' | 'WARNING';
  readonly message: string;
}

export type TrainingEvent =
  | StartedEvent
  | StepEvent
  | OnlineStepEvent
  | ValidationEvent
  | CheckpointEvent
  | LogEvent;

export interface TrainingResult {
  readonly outcome: 'completed' | 'stopped';
  readonly step: number;
  readonly epoch: number;
  /** Of the last step; absent where no step was left to train. */
  readonly loss?: number;
  /** The last checkpoint written, absent where there is none. */
  readonly checkpoint?: string;
}
