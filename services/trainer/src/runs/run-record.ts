import { ApplicationError, type ErrorKind } from '@online-cnclip/foundation';
import type {
  CheckpointEvent,
  StepEvent,
  TrainingEvent,
  TrainingOptions,
  TrainingResult,
  ValidationEvent,
} from '@online-cnclip/training';

export type RunState =
  | 'starting'
  | 'running'
  | 'stopping'
  | 'completed'
  | 'stopped'
  | 'failed'
  /** The service went away without a word. */
  | 'interrupted';

export interface RunFailure {
  /** `internal` for a defect, whose text is in the service's log only. */
  readonly kind: ErrorKind | 'internal';
  readonly message: string;
}

export interface SavedCheckpoint extends CheckpointEvent {
  /** Milliseconds since 1970. */
  readonly savedAt: number;
}

/** All that is known of a run; kept in a file, so plain data. Paths are absolute. */
export interface RunRecord {
  readonly name: string;
  readonly folder: string;
  readonly state: RunState;
  readonly options: TrainingOptions;
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch: number;
  readonly totalEpochs: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt?: number;
  readonly latestStep?: StepEvent;
  readonly latestValidation?: ValidationEvent;
  /** By time; at most one per path. */
  readonly checkpoints: readonly SavedCheckpoint[];
  readonly failure?: RunFailure;
}

const GOING_ON: ReadonlySet<RunState> = new Set(['starting', 'running', 'stopping']);

export const isGoingOn = (record: RunRecord): boolean => GOING_ON.has(record.state);

/** The record of a run that begins; one that is resumed keeps what its earlier part has saved. */
export function newRecord(
  options: TrainingOptions,
  folder: string,
  startedAt: number,
  earlier?: RunRecord,
): RunRecord {
  return {
    name: options.name,
    folder,
    state: 'starting',
    options,
    step: 0,
    totalSteps: options.maxSteps ?? 0,
    epoch: 1,
    totalEpochs: options.maxEpochs,
    startedAt,
    checkpoints: earlier?.checkpoints ?? [],
    ...(earlier?.latestValidation && { latestValidation: earlier.latestValidation }),
  };
}

/** The record after an event of its training. */
export function afterEvent(record: RunRecord, event: TrainingEvent, now: number): RunRecord {
  switch (event.kind) {
    case 'started': {
      const { startStep: step, totalSteps, totalEpochs, stepsPerEpoch } = event;
      const epoch = Math.min(Math.floor(step / stepsPerEpoch) + 1, Math.max(1, totalEpochs));
      const state = record.state === 'starting' ? 'running' : record.state;
      return { ...record, state, step, totalSteps, totalEpochs, epoch };
    }
    case 'step':
      return { ...record, step: event.step, epoch: event.epoch, latestStep: event };
    case 'validation':
      return { ...record, step: event.step, epoch: event.epoch, latestValidation: event };
    case 'checkpoint': {
      const others = record.checkpoints.filter(({ path }) => path !== event.path);
      return { ...record, step: event.step, checkpoints: [...others, { ...event, savedAt: now }] };
    }
    case 'log':
      return record;
  }
}

export function afterEnd(record: RunRecord, result: TrainingResult, now: number): RunRecord {
  return { ...record, state: result.outcome, step: result.step, epoch: result.epoch, endedAt: now };
}

export function afterFailure(record: RunRecord, error: unknown, now: number): RunRecord {
  const failure: RunFailure =
    error instanceof ApplicationError
      ? { kind: error.kind, message: error.message }
      : { kind: 'internal', message: "an internal error; the service's log has it" };
  return { ...record, state: 'failed', failure, endedAt: now };
}
