import type { ModelConfig } from '@online-cnclip/network';
import type { LogEvent } from '../events.ts';
import type { TrainingPorts } from '../ports.ts';
import type { ImageSource } from './image-source.ts';
import type { GateEvent, OnlineStepEvent, OnlineSummary } from './online-events.ts';

/** Fetches images with the crawler at `host:port`. */
export type OpenCrawledImages = (address: string) => ImageSource;

export interface AdaptPorts extends Omit<TrainingPorts, 'now'> {
  readonly crawledImages: OpenCrawledImages;
  /** Sizes of towers that are no preset; absent: those of the presets that the options name. */
  readonly modelConfig?: ModelConfig;
}

export interface AdaptStartedEvent {
  readonly kind: 'started';
  readonly totalSteps: number;
  readonly totalEpochs: number;
  readonly stepsPerEpoch: number;
  readonly startStep: 0;
  /** Queries that are stepped on. */
  readonly pairs: number;
  readonly resumedFrom: string;
}

/** The checkpoint that was written; never before the gate has passed. */
export interface AdaptedEvent {
  readonly kind: 'checkpoint';
  readonly path: string;
  readonly bytes: number;
  readonly step: number;
  readonly epoch: number;
  readonly seconds: number;
}

export type AdaptEvent = AdaptStartedEvent | OnlineStepEvent | GateEvent | AdaptedEvent | LogEvent;

export interface AdaptHooks {
  /** Stops after the step in hand; nothing is written. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: AdaptEvent) => void;
}

export interface AdaptResult {
  /** `rejected`: the gate did not pass, and nothing was written. */
  readonly outcome: 'completed' | 'stopped' | 'rejected';
  readonly step: number;
  readonly epoch: number;
  /** Of the last step that had a pair. */
  readonly loss?: number;
  readonly checkpoint?: string;
  readonly textFeatures?: string;
  readonly online: OnlineSummary;
  /** Absent where no gate set was given. */
  readonly gate?: Omit<GateEvent, 'kind'>;
}
