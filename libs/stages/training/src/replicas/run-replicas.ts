import type { ReplicaPace } from '../events.ts';
import type { TrainStep, TrainStepResult } from '../train-step.ts';
import { hashParameters } from './fingerprint.ts';
import type { ReplicaGroup } from './replica-group.ts';
import { shareResult, shareState } from './share-state.ts';

/** Where a replica stands when it looks for the others, and where all stand when it has found them. */
export interface Standing {
  readonly step: number;
  /** Of the last step; absent where nothing was trained since the start. */
  readonly last: TrainStepResult | undefined;
}

export interface OwnStanding extends Standing {
  /** Whether all that is due after a step was done here. */
  readonly isSettled: (step: number) => boolean;
}

export interface SharedStanding extends Standing {
  /** Whether it was done everywhere. */
  readonly isSettled: boolean;
}

export interface StepSeconds {
  readonly dataSeconds: number;
  /** The whole step, the waiting for data included. */
  readonly stepSeconds: number;
}

/** What every replica tells the others of a step: where its time went. */
const PROGRESS_VALUES = 3;

/** The other replicas, as the loop over steps sees them. */
export class RunReplicas {
  readonly #group: ReplicaGroup;
  readonly #step: TrainStep;
  readonly #fingerprint: Readonly<Record<string, string>>;
  readonly #signal: AbortSignal | undefined;
  #isGathering = false;
  #waitedMs = 0;
  #sums: Float64Array;
  #steps = 0;

  constructor(
    group: ReplicaGroup,
    {
      step,
      fingerprint,
    }: { readonly step: TrainStep; readonly fingerprint: Readonly<Record<string, string>> },
    signal: AbortSignal | undefined,
  ) {
    this.#group = group;
    this.#step = step;
    this.#fingerprint = fingerprint;
    this.#signal = signal;
    this.#sums = new Float64Array(PROGRESS_VALUES * group.worldSize);
  }

  /** Whether this replica waits for the others to come. */
  get isGathering(): boolean {
    return this.#isGathering;
  }

  /**
   * Waits for all replicas and takes the newest state over.
   *
   * @returns absent when the run has ended already. @throws LostReplicaError when one is lost again on the way.
   */
  async join(own: OwnStanding): Promise<SharedStanding | undefined> {
    const { parameters } = await this.#step.state();
    const state = { step: own.step, parameters: hashParameters(parameters), fingerprint: this.#fingerprint };
    this.#isGathering = true;
    const agreement = await this.#group.regroup(state, this.#signal);
    this.#isGathering = false;
    if (!agreement) return undefined;
    const { step, root } = agreement;
    await shareState(this.#group, this.#step, agreement);
    const last = await shareResult(this.#group, own.last, root);
    const unsettled = Float32Array.of(own.isSettled(step) ? 0 : 1);
    await this.#group.allReduceSum(unsettled);
    this.#waitedMs = this.#group.waitedMs;
    return { step, last, isSettled: unsettled[0] === 0 };
  }

  /** After each step. */
  async exchange({ dataSeconds, stepSeconds }: StepSeconds): Promise<void> {
    const { worldSize, waitedMs } = this.#group;
    const waitedSeconds = (waitedMs - this.#waitedMs) / 1000;
    const all = new Float32Array(PROGRESS_VALUES * worldSize);
    await this.#group.allGather(Float32Array.of(dataSeconds, stepSeconds, waitedSeconds), all);
    this.#waitedMs = this.#group.waitedMs;
    this.#steps++;
    for (let i = 0; i < all.length; i++) this.#sums[i] = (this.#sums[i] as number) + (all[i] as number);
  }

  /** Means since the last report, which this one becomes. */
  takeReport(batchSize: number): { readonly replicas: readonly ReplicaPace[] } {
    const mean = (rank: number, value: number) =>
      this.#steps === 0 ? 0 : (this.#sums[PROGRESS_VALUES * rank + value] as number) / this.#steps;
    const replicas = Array.from({ length: this.#group.worldSize }, (_, rank) => {
      const [dataSeconds, stepSeconds, waitedSeconds] = [mean(rank, 0), mean(rank, 1), mean(rank, 2)];
      const busySeconds = Math.max(0, stepSeconds - waitedSeconds);
      return {
        rank,
        pairsPerSecond: stepSeconds > 0 ? batchSize / stepSeconds : 0,
        dataSeconds,
        busySeconds,
        waitedSeconds,
      };
    });
    this.#sums = new Float64Array(this.#sums.length);
    this.#steps = 0;
    return { replicas };
  }

  /** Resolves when every replica has come to the end. @throws LostReplicaError when one is lost before. */
  finish(): Promise<void> {
    return this.#group.finish();
  }
}
