import {
  type AdaptationOptions,
  Checkpoint,
  GateReport,
  OnlineStepReport,
  Run,
  type RunOptions,
  RunState,
  StepReport,
  type TrainerServiceService,
  ValidationReport,
  type WatchRunResponse,
} from '@online-cnclip/contracts/trainer/v1';
import {
  AlreadyExistsError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
} from '@online-cnclip/foundation';
import type { Handlers } from '@online-cnclip/service-kit';
import { unsupportedStream } from './unsupported.ts';
import { Updates } from './updates.ts';

interface FakeRun {
  run: Run;
  readonly updates: Updates<WatchRunResponse>;
  readonly checkpoints: Checkpoint[];
  /** All that it told. */
  readonly past: WatchRunResponse[];
  watchers: number;
}

/** A trainer whose runs do a step when the test says so. */
export class FakeTrainer {
  readonly #runs = new Map<string, FakeRun>();
  /** Options of the adaptations that were started over the wire. */
  readonly adapted: AdaptationOptions[] = [];
  /** Checkpoints that the encoder was told to load, the latest last. */
  served: string[] = [];
  /** Options of the runs that were started over the wire. */
  readonly started: RunOptions[] = [];

  add(name: string, totalSteps: number): void {
    const run = Run.fromPartial({
      name,
      state: RunState.RUN_STATE_RUNNING,
      totalSteps: BigInt(totalSteps),
      totalEpochs: 1,
      epoch: 1,
      startTime: new Date(),
      folder: `experiments/${name}`,
      options: { trainData: 'datasets/emoji/lmdb/train', batchSize: 128, lr: 1e-3, loss: 1, optimizer: 2 },
    });
    this.#runs.set(name, { run, updates: new Updates(), checkpoints: [], past: [], watchers: 0 });
  }

  /** Calls that watch the run now. */
  watchers(name: string): number {
    return this.#get(name).watchers;
  }

  step(name: string, step: number, loss: number, learningRate: number): void {
    const { run } = this.#get(name);
    const total = Number(run.totalSteps);
    const value = StepReport.fromPartial({
      step: BigInt(step),
      totalSteps: run.totalSteps,
      epoch: 1,
      loss,
      learningRate,
      logitScale: 2.6,
      pairsPerSecond: 412,
      stepSeconds: 0.31,
      etaSeconds: (total - step) * 0.31,
    });
    this.#change(name, { step: BigInt(step), latestStep: value });
    this.#tell(name, { $case: 'step', value });
  }

  validate(name: string, step: number, loss: number, [r1, r5, r10]: readonly [number, number, number]): void {
    const value = ValidationReport.fromPartial({
      step: BigInt(step),
      epoch: 1,
      loss,
      recall: {
        recallAt1: r1,
        recallAt5: r5,
        recallAt10: r10,
        meanRecall: (r1 + r5 + r10) / 3,
        queries: 75n,
      },
    });
    this.#tell(name, { $case: 'validation', value });
  }

  /** A step of online learning; without a loss no query had an image. */
  stepOnline(name: string, step: number, loss: number | undefined): void {
    const total = this.#get(name).run.totalSteps;
    const pairs = loss === undefined ? 0 : 60;
    const value = OnlineStepReport.fromPartial({
      ...{
        step: BigInt(step),
        totalSteps: total,
        epoch: 1,
        totalEpochs: 1,
        queries: 64,
        pairs,
        replayed: pairs,
      },
      ...{ learningRate: 3e-4, stepSeconds: 0.5, etaSeconds: 1 },
      ...(loss !== undefined && { loss }),
    });
    this.#change(name, { step: BigInt(step), latestOnlineStep: value });
    this.#tell(name, { $case: 'onlineStep', value });
  }

  judge(name: string, before: number, after: number, passed: boolean): void {
    const recall = (meanRecall: number) => ({ meanRecall, queries: 150n });
    const value = GateReport.fromPartial({
      ...{
        before: recall(before),
        after: recall(after),
        drop: before - after,
        maxDrop: '10%',
        passed,
        seconds: 2,
      },
    });
    this.#change(name, { gate: value });
    this.#tell(name, { $case: 'gate', value });
  }

  save(name: string, step: number): void {
    const value = Checkpoint.fromPartial({
      path: `experiments/${name}/checkpoints/epoch1.pt`,
      epoch: 1,
      step: BigInt(step),
      bytes: 14_213_000n,
      saveTime: new Date(),
    });
    this.#get(name).checkpoints.unshift(value);
    this.#tell(name, { $case: 'checkpoint', value });
  }

  end(name: string, state: RunState): void {
    const one = this.#get(name);
    this.#change(name, { state, endTime: new Date() });
    this.#tell(name, { $case: 'run', value: one.run });
    one.updates.end();
  }

  handlers(): Handlers<typeof TrainerServiceService> {
    return {
      listRuns: async () => ({ runs: [...this.#runs.values()].map(({ run }) => run).reverse() }),
      getRun: async ({ name }) => ({ run: this.#get(name).run }),
      getRunHistory: async ({ name }) => ({ run: this.#get(name).run, updates: this.#get(name).past }),
      listCheckpoints: async ({ name }) => ({ checkpoints: this.#get(name).checkpoints }),
      startRun: async ({ options }) => this.#start(options),
      stopRun: async ({ name }) => {
        if (this.#get(name).run.state !== RunState.RUN_STATE_RUNNING)
          throw new FailedPreconditionError('has ended', { place: name });
        this.end(name, RunState.RUN_STATE_STOPPED);
        return { run: this.#get(name).run };
      },
      watchRun: (request, { signal }) => this.#watch(request.name, signal),
      startAdaptation: async ({ options }) => {
        if (!options?.model) throw new InvalidInputError('is required', { place: 'model' });
        this.adapted.push(options);
        this.add(options.name, options.maxEpochs);
        return { run: this.#get(options.name).run };
      },
      rollBackModel: async () => {
        const [checkpointPath, replacedCheckpointPath] = this.served.slice(-2);
        if (!checkpointPath || !replacedCheckpointPath)
          throw new FailedPreconditionError('there is nothing to go back to', { place: 'model' });
        this.served.pop();
        return { checkpointPath, replacedCheckpointPath };
      },
      buildDataset: unsupportedStream,
    };
  }

  async *#watch(name: string, signal: AbortSignal): AsyncGenerator<WatchRunResponse, void, void> {
    const { run, updates } = this.#get(name);
    const from = updates.length;
    this.#get(name).watchers += 1;
    try {
      yield { time: new Date(), event: { $case: 'run', value: run } };
      yield* updates.follow(signal, from);
    } finally {
      this.#get(name).watchers -= 1;
    }
  }

  async #start(options: RunOptions | undefined) {
    if (!options?.trainData) throw new InvalidInputError('is required', { place: 'train_data' });
    const name = options.name || 'unnamed';
    if (this.#runs.has(name)) throw new AlreadyExistsError('is going on', { place: name });
    this.started.push(options);
    this.add(name, 100);
    return { run: this.#get(name).run };
  }

  #get(name: string): FakeRun {
    const one = this.#runs.get(name);
    if (!one) throw new NotFoundError('no such run', { place: name });
    return one;
  }

  #change(name: string, changes: Partial<Run>): void {
    const one = this.#get(name);
    one.run = { ...one.run, ...changes };
  }

  #tell(name: string, event: WatchRunResponse['event']): void {
    const update = { time: new Date(), event };
    const one = this.#get(name);
    one.updates.push(update);
    if (event?.$case !== 'run') one.past.push(update);
  }
}
