import type { Recall } from '../ports.ts';
import type { ImageSourceMode } from './image-source.ts';
import type { MaxDrop, OnlineScope } from './online-options.ts';

/** Of one online step, or of many: queries and what became of them. */
export interface OnlineCounts {
  /** Queries that an image was wanted for. */
  readonly queries: number;
  /** Those that got one: the new pairs. */
  readonly pairs: number;
  /** Of the pairs, those whose image needed no request. */
  readonly cached: number;
  /** Pairs of the training set that were trained on beside them. */
  readonly replayed: number;
  /** Queries without an image, by reason. */
  readonly leftOut: Readonly<Record<string, number>>;
}

/** One optimizer step on fetched images. */
export interface OnlineStepEvent extends OnlineCounts {
  readonly kind: 'online-step';
  /** Of test-time online learning: its own steps. At a validation: batches of that validation. */
  readonly step: number;
  readonly totalSteps: number;
  /** From 1. */
  readonly epoch: number;
  readonly totalEpochs: number;
  /** Absent where no query had an image, so that there was no step. */
  readonly loss?: number;
  readonly learningRate: number;
  readonly logitScale: number;
  /** Spent waiting for images. */
  readonly waitSeconds: number;
  /** The wait included. */
  readonly stepSeconds: number;
  readonly etaSeconds: number;
}

/** Whether adapted weights are good enough to be used. */
export interface GateEvent {
  readonly kind: 'gate';
  readonly before: Recall;
  readonly after: Recall;
  /** Percentage points that mean recall has fallen; below 0 where it has risen. */
  readonly drop: number;
  /** Absent where any drop will do. */
  readonly maxDrop?: MaxDrop;
  readonly passed: boolean;
  readonly seconds: number;
}

/** What online learning did, in all. */
export interface OnlineSummary extends OnlineCounts {
  readonly scope: OnlineScope;
  /** Whether it stepped on the queries that are scored: such figures are no generalisation. */
  readonly transductive: boolean;
  readonly source: ImageSourceMode;
  readonly steps: number;
  readonly seconds: number;
  readonly waitSeconds: number;
}
