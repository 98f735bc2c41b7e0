import { ApplicationError, type ErrorKind } from '@online-cnclip/foundation';
import type {
  AdaptEvent,
  AdaptOptions,
  AdaptResult,
  CheckpointEvent,
  GateEvent,
  OnlineStepEvent,
  OnlineSummary,
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
  /** Absent for an adaptation. */
  readonly options?: TrainingOptions;
  /** Of test-time online learning; absent for a training. */
  readonly adaptation?: AdaptOptions;
  /** Whether the encoder is to load what the adaptation makes. */
  readonly serve?: boolean;
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch: number;
  readonly totalEpochs: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /**
   * Tells this start of the run from others to the replicas that take part: the same where the service goes on with it
   * after it went away, so that they keep what they have. Absent for an adaptation.
   */
  readonly attempt?: string;
  readonly endedAt?: number;
  readonly latestStep?: StepEvent;
  readonly latestValidation?: ValidationEvent;
  readonly latestOnlineStep?: OnlineStepEvent;
  readonly gate?: GateEvent;
  /** When an adaptation has ended. */
  readonly online?: OnlineSummary;
  /** What the encoder was told to load. */
  readonly servedCheckpoint?: string;
  /** By time; at most one per path. */
  readonly checkpoints: readonly SavedCheckpoint[];
  readonly failure?: RunFailure;
}

/** What an adaptation is started with. */
export interface AdaptationStart {
  readonly name: string;
  readonly folder: string;
  readonly options: AdaptOptions;
  readonly serve: boolean;
}

const GOING_ON: ReadonlySet<RunState> = new Set(['starting', 'running', 'stopping']);

export const isGoingOn = (record: RunRecord): boolean => GOING_ON.has(record.state);

/** The record of a run that begins; one that is resumed keeps what its earlier part has saved. */
export function newRecord(
  options: TrainingOptions,
  folder: string,
  startedAt: number,
  earlier?: RunRecord,
  attempt = `${options.name} ${startedAt}`,
): RunRecord & { readonly attempt: string } {
  return {
    name: options.name,
    folder,
    state: 'starting',
    options,
    attempt,
    step: 0,
    totalSteps: options.maxSteps ?? 0,
    epoch: 1,
    totalEpochs: options.maxEpochs,
    startedAt,
    checkpoints: earlier?.checkpoints ?? [],
    ...(earlier?.latestValidation && { latestValidation: earlier.latestValidation }),
  };
}

/** The record of an adaptation that begins. */
export function newAdaptation(
  { name, folder, options, serve }: AdaptationStart,
  startedAt: number,
): RunRecord {
  return {
    name,
    folder,
    state: 'starting',
    adaptation: options,
    serve,
    step: 0,
    totalSteps: 0,
    epoch: 1,
    totalEpochs: options.maxEpochs,
    startedAt,
    checkpoints: [],
  };
}

/** The record after an event of its training. */
export function afterEvent(record: RunRecord, event: TrainingEvent | AdaptEvent, now: number): RunRecord {
  switch (event.kind) {
    case 'started': {
      const { startStep: step, totalSteps, totalEpochs, stepsPerEpoch } = event;
      const epoch = Math.min(Math.floor(step / stepsPerEpoch) + 1, Math.max(1, totalEpochs));
      const state = record.state === 'starting' ? 'running' : record.state;
      return { ...record, state, step, totalSteps, totalEpochs, epoch };
    }
    case 'step':
      return { ...record, step: event.step, epoch: event.epoch, latestStep: event };
    case 'online-step':
      // Those of a validation are counted by themselves.
      return record.adaptation
        ? { ...record, step: event.step, epoch: event.epoch, latestOnlineStep: event }
        : { ...record, latestOnlineStep: event };
    case 'gate':
      return { ...record, gate: event };
    case 'validation':
      return { ...record, step: event.step, epoch: event.epoch, latestValidation: event };
    case 'checkpoint': {
      const others = record.checkpoints.filter(({ path }) => path !== event.path);
      const checkpoints = [...others, { ...event, savedAt: now }];
      // An adaptation counts its own steps, its checkpoint those of the training before as well.
      return record.adaptation ? { ...record, checkpoints } : { ...record, step: event.step, checkpoints };
    }
    case 'log':
      return record;
  }
}

export function afterEnd(record: RunRecord, result: TrainingResult, now: number): RunRecord {
  return { ...record, state: result.outcome, step: result.step, epoch: result.epoch, endedAt: now };
}

/** One whose gate did not pass has done all that it was to do. */
export function afterAdaptation(record: RunRecord, result: AdaptResult, now: number): RunRecord {
  const { step, epoch, online, outcome } = result;
  const state = outcome === 'rejected' ? 'completed' : outcome;
  return { ...record, state, step, epoch, online, endedAt: now };
}

export function afterFailure(record: RunRecord, error: unknown, now: number): RunRecord {
  const failure: RunFailure =
    error instanceof ApplicationError
      ? { kind: error.kind, message: error.message }
      : { kind: 'internal', message: "an internal error; the service's log has it" };
  return { ...record, state: 'failed', failure, endedAt: now };
}
