import {
  AlreadyExistsError,
  FailedPreconditionError,
  type Logger,
  messageOf,
  NotFoundError,
  UnavailableError,
} from '@online-cnclip/foundation';
import type {
  AdaptEvent,
  AdaptOptions,
  AdaptResult,
  TrainingEvent,
  TrainingOptions,
  TrainingResult,
} from '@online-cnclip/training';
import type { RunEvent, RunJournal } from './run-journal.ts';
import {
  type AdaptationStart,
  afterAdaptation,
  afterEnd,
  afterEvent,
  afterFailure,
  isGoingOn,
  newAdaptation,
  newRecord,
  type RunRecord,
} from './run-record.ts';
import type { RunStore } from './run-store.ts';
import { type RunUpdate, WatchFeed } from './watch-feed.ts';

export interface TrainingHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: TrainingEvent) => void;
}

/** Trains somewhere: events while it lasts; the signal stops it after a step and a checkpoint. */
export type LaunchTraining = (
  options: TrainingOptions,
  hooks: TrainingHooks,
  attempt: string,
) => Promise<TrainingResult>;

/** Adapts somewhere; the signal stops it after a step. */
export type LaunchAdaptation = (
  options: AdaptOptions,
  hooks: { readonly signal: AbortSignal; readonly onEvent: (event: AdaptEvent) => void },
) => Promise<AdaptResult>;

export interface RunsOptions {
  readonly store: RunStore;
  /** Absent: what happened in a run is known to those who watched it. */
  readonly journal?: RunJournal;
  readonly launch: LaunchTraining;
  readonly launchAdaptation: LaunchAdaptation;
  /** Has the encoder load a checkpoint that an adaptation with these options made. */
  readonly serve: (checkpoint: string, options: AdaptOptions) => Promise<void>;
  readonly logger: Logger;
}

/** Step reports change a record many times a second; its file follows at this distance at most. */
const SAVE_STEPS_EVERY_MS = 5_000;

interface WorkHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: TrainingEvent | AdaptEvent) => void;
}

/** What a run does; its record at the end. */
type Work = (hooks: WorkHooks) => Promise<RunRecord>;

interface ActiveRun {
  readonly stop: AbortController;
  readonly finished: Promise<void>;
}

/** Every run that this service has known; one at a time is going on. */
export class Runs {
  readonly #records: Map<string, RunRecord>;
  readonly #feeds = new Map<string, WatchFeed>();
  readonly #options: RunsOptions;
  #active: (ActiveRun & { readonly name: string }) | undefined;
  #closed = false;
  #saving: Promise<void> = Promise.resolve();
  #noting: Promise<void> = Promise.resolve();
  /** Of each run, what is yet to be written. */
  readonly #unnoted = new Map<string, RunEvent[]>();
  /** By the clock that is never set. */
  #savedAt = Number.NEGATIVE_INFINITY;

  static async open(options: RunsOptions): Promise<Runs> {
    const records = await options.store.load(options.logger);
    return new Runs(options, records);
  }

  private constructor(options: RunsOptions, records: readonly RunRecord[]) {
    this.#options = options;
    this.#records = new Map(records.map((record) => [record.name, record]));
  }

  /** @throws as start() does, when a run of this name could not be started now. */
  requireRoom(name: string): void {
    if (this.#closed) throw new UnavailableError('the service is shutting down');
    if (this.#active?.name === name) throw new AlreadyExistsError(`run ${JSON.stringify(name)} is going on`);
    if (this.#active)
      throw new FailedPreconditionError(
        `run ${JSON.stringify(this.#active.name)} is going on, and one trains at a time: stop it or wait for its end`,
      );
  }

  /**
   * Starts a run, or resumes the ended one of its name.
   *
   * @throws AlreadyExistsError while this run is going on; FailedPreconditionError while another one is;
   *   UnavailableError while closing.
   */
  start(options: TrainingOptions, folder: string): RunRecord {
    return this.#start(options, folder);
  }

  #start(options: TrainingOptions, folder: string, attempt?: string): RunRecord {
    const { name } = options;
    this.requireRoom(name);
    const { launch } = this.#options;
    const record = newRecord(options, folder, this.#nextStart(), this.#records.get(name), attempt);
    return this.#begin(record, async (hooks) => {
      const result = await launch(options, hooks, record.attempt);
      return afterEnd(this.get(name), result, Date.now());
    });
  }

  /** Goes on with the training that this service was in when it went away without a word, if it was in one. */
  resumeInterrupted(): void {
    const [latest] = this.list();
    if (latest?.state === 'interrupted' && latest.options)
      this.#start(latest.options, latest.folder, latest.attempt);
  }

  /**
   * Starts an adaptation.
   *
   * @throws as start(); AlreadyExistsError also when there was a run of this name: an adaptation is not resumed.
   */
  startAdaptation(start: AdaptationStart): RunRecord {
    const { name, options } = start;
    this.requireRoom(name);
    const earlier = this.#records.get(name);
    if (earlier?.options)
      throw new AlreadyExistsError(`there is a training run ${JSON.stringify(name)}; give another name`);
    return this.#begin(newAdaptation(start, this.#nextStart()), (hooks) =>
      this.#adapt(name, options, start.serve, hooks),
    );
  }

  /**
   * Asks a run to save and stop, and waits for its end.
   *
   * @throws NotFoundError; FailedPreconditionError when it has ended.
   */
  async stop(name: string): Promise<RunRecord> {
    const record = this.get(name);
    if (this.#active?.name !== name)
      throw new FailedPreconditionError(`run ${JSON.stringify(name)} has ended: ${record.state}`);
    await this.#stopActive(this.#active);
    return this.get(name);
  }

  /** @throws NotFoundError. */
  get(name: string): RunRecord {
    const record = this.#records.get(name);
    if (!record) throw new NotFoundError(`there is no run ${JSON.stringify(name)}`);
    return record;
  }

  /** The latest started first. */
  list(): RunRecord[] {
    return [...this.#records.values()].sort((a, b) => b.startedAt - a.startedAt);
  }

  /** The run as it is, then its updates until it ends. @throws NotFoundError. */
  watch(name: string, signal: AbortSignal): AsyncGenerator<RunUpdate, void, undefined> {
    const record = this.get(name);
    const feed = this.#feeds.get(name) ?? new WatchFeed();
    if (isGoingOn(record)) this.#feeds.set(name, feed);
    return feed.watch(record, signal);
  }

  /** What happened in a run, by time, with `maxSteps` of its steps at most. @throws NotFoundError. */
  async history(name: string, maxSteps: number): Promise<RunEvent[]> {
    const { name: known } = this.get(name);
    await this.#noting;
    return (await this.#options.journal?.read(known, maxSteps)) ?? [];
  }

  /** Refuses new runs; the one that is going on saves and stops. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#active) await this.#stopActive(this.#active);
    await this.#saving;
    await this.#noting;
  }

  async #stopActive(active: ActiveRun & { readonly name: string }): Promise<void> {
    const record = this.get(active.name);
    if (record.state !== 'stopping') this.#update({ ...record, state: 'stopping' });
    active.stop.abort();
    await active.finished;
  }

  /** Now, but after every run before: a clock that was set back must not make an earlier run the latest. */
  #nextStart(): number {
    const [latest] = this.list();
    return Math.max(Date.now(), (latest?.startedAt ?? 0) + 1);
  }

  #begin(record: RunRecord, work: Work): RunRecord {
    const stop = new AbortController();
    this.#update(record);
    this.#active = { name: record.name, stop, finished: this.#follow(record.name, stop.signal, work) };
    return record;
  }

  /** Runs the work to its end, which the record then tells. */
  async #follow(name: string, signal: AbortSignal, work: Work): Promise<void> {
    const { logger } = this.#options;
    // The caller of start() first gets the record of a run that has not begun.
    await Promise.resolve();
    let record: RunRecord;
    try {
      record = await work({ signal, onEvent: (event) => this.#onEvent(name, event) });
      const { state, step, epoch } = record;
      logger.info({ run: name, state, step, epoch }, 'the run has ended');
    } catch (error) {
      record = afterFailure(this.get(name), error, Date.now());
      logger.error({ run: name, err: error }, `the run has failed: ${messageOf(error)}`);
    }
    this.#active = undefined;
    this.#update(record);
    this.#feeds.delete(name);
    await this.#saving;
  }

  async #adapt(name: string, options: AdaptOptions, serve: boolean, hooks: WorkHooks): Promise<RunRecord> {
    const result = await this.#options.launchAdaptation(options, hooks);
    const record = afterAdaptation(this.get(name), result, Date.now());
    const { checkpoint } = result;
    if (!serve || checkpoint === undefined) return record;
    this.#records.set(name, { ...this.get(name), online: result.online });
    await this.#options.serve(checkpoint, options);
    return { ...record, servedCheckpoint: checkpoint, endedAt: Date.now() };
  }

  #onEvent(name: string, event: TrainingEvent | AdaptEvent): void {
    const before = this.get(name);
    const now = Date.now();
    const record = afterEvent(before, event, now);
    if (event.kind === 'log') {
      this.#options.logger.debug({ run: name, level: event.level }, event.message);
      return;
    }
    if (event.kind === 'started') {
      this.#update(record);
      return;
    }
    this.#records.set(name, record);
    const isStep = event.kind === 'step' || event.kind === 'online-step';
    if (!isStep || performance.now() - this.#savedAt > SAVE_STEPS_EVERY_MS) this.#save(record);
    const update = event.kind === 'checkpoint' ? { ...event, savedAt: now, at: now } : { ...event, at: now };
    this.#feeds.get(name)?.publish(update);
    // Online steps of a validation have a count of their own.
    if (event.kind !== 'online-step' || record.adaptation) this.#note(name, update);
  }

  /** Writes what comes while it writes together. */
  #note(run: string, event: RunEvent): void {
    const { journal, logger } = this.#options;
    if (!journal) return;
    const unnoted = this.#unnoted.get(run);
    if (unnoted) {
      unnoted.push(event);
      return;
    }
    this.#unnoted.set(run, [event]);
    this.#noting = this.#noting
      .then(() => {
        const events = this.#unnoted.get(run) ?? [];
        this.#unnoted.delete(run);
        return journal.append(run, events);
      })
      .catch((error: unknown) => logger.error({ err: error, run }, 'events of a run cannot be kept'));
  }

  /** A change of state: kept, saved and told. */
  #update(record: RunRecord): void {
    this.#records.set(record.name, record);
    this.#save(record);
    this.#feeds.get(record.name)?.publish({ kind: 'record', at: Date.now(), record });
  }

  /** One write after another, so that a later record is never replaced by an earlier one. */
  #save(record: RunRecord): void {
    this.#savedAt = performance.now();
    this.#saving = this.#saving
      .then(() => this.#options.store.save(record))
      .catch((error: unknown) =>
        this.#options.logger.error({ err: error, run: record.name }, 'a run record cannot be saved'),
      );
  }
}
