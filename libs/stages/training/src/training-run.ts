import { LostReplicaError } from '@online-cnclip/collectives';
import type { StepEvent, TrainingEvent, TrainingResult, ValidationEvent } from './events.ts';
import { onlineLines } from './online/online-totals.ts';
import { validateOnline } from './online/validate-online.ts';
import type { OpenedTraining } from './open-training.ts';
import { Pace } from './pace.ts';
import type { Batch } from './pair-loader.ts';
import type { RecallPort } from './ports.ts';
import { RunReplicas } from './replicas/run-replicas.ts';
import { epochCheckpoint, stepCheckpoint } from './run-files.ts';
import { DECAY_EVERY_STEPS, learningRateAt, type Schedule } from './schedule.ts';
import type { TrainStep, TrainStepResult } from './train-step.ts';
import { stepLine, validationLines } from './training-log.ts';
import { validate } from './validation.ts';
import type { ValidationSplit } from './validation-split.ts';

/** The loop over epochs and steps of one run. Steps are counted over all epochs: their number is the position. */
export class TrainingRun {
  readonly #opened: OpenedTraining;
  readonly #recall: RecallPort;
  readonly #onEvent: (event: TrainingEvent) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #schedule: Schedule;
  readonly #pace = new Pace();
  /** Absent where a loss ends the run. */
  readonly #replicas: RunReplicas | undefined;
  #step: number;
  /** Steps after which everything due was done: reported, saved, validated. */
  #settledStep: number;
  #last: TrainStepResult | undefined;
  #savedAt: number;
  #validatedAt = -1;
  #checkpoint: string | undefined;
  #isStopping = false;
  /** Whether parameters stand among the online steps of a validation: they are not to be saved. */
  #isInterrupted = false;
  /** Whether what is due after a step is done again, because not every replica had come to its end. */
  #isRepeating = false;

  constructor(
    opened: OpenedTraining,
    recall: RecallPort,
    onEvent: (event: TrainingEvent) => void,
    signal: AbortSignal | undefined,
  ) {
    this.#opened = opened;
    this.#recall = recall;
    this.#onEvent = onEvent;
    this.#signal = signal;
    this.#step = opened.startStep;
    this.#settledStep = opened.startStep;
    this.#savedAt = opened.startStep;
    this.#replicas = opened.group && new RunReplicas(opened.group, opened, signal);
    this.#schedule = {
      baseLearningRate: opened.options.lr,
      warmupSteps: opened.options.warmup,
      totalSteps: opened.totalSteps,
      decayEverySteps: DECAY_EVERY_STEPS,
    };
  }

  async run(): Promise<TrainingResult> {
    while (!(await this.#runTogether()));
    return {
      outcome: this.#step >= this.#opened.totalSteps && !this.#isInterrupted ? 'completed' : 'stopped',
      step: this.#step,
      epoch: this.#epoch,
      ...(this.#last && { loss: this.#last.loss }),
      ...(this.#checkpoint !== undefined && { checkpoint: this.#checkpoint }),
    };
  }

  /** Trains until the end or the loss of a replica. @returns whether it was the end. */
  async #runTogether(): Promise<boolean> {
    try {
      if (!(await this.#join())) return true;
      await this.#trainToEnd();
      if (this.#step > this.#savedAt && !this.#isInterrupted) await this.#saveStopped();
      await this.#replicas?.finish();
      return true;
    } catch (error) {
      if (!this.#replicas) throw error;
      // Among online steps replicas stand at no step that they could agree on: the run goes on from the checkpoint before them.
      if (this.#isInterrupted) throw error;
      if (error instanceof LostReplicaError) {
        this.#opened.log.warn(`${error.message}; waiting for all replicas at step ${this.#step}`);
        return false;
      }
      // What was trained is not lost with the replicas that do not come back.
      if (this.#replicas.isGathering && this.#step > this.#savedAt) await this.#save([]);
      if (this.#replicas.isGathering && this.#signal?.aborted) return true;
      throw error;
    }
  }

  /** Finds the other replicas, and goes to where the furthest of them is. @returns false when the run has ended already. */
  async #join(): Promise<boolean> {
    if (!this.#replicas) return true;
    const joined = await this.#replicas.join({
      step: this.#step,
      last: this.#last,
      isSettled: (step) => step === this.#settledStep,
    });
    if (!joined) {
      this.#step = this.#opened.totalSteps;
      return false;
    }
    this.#step = joined.step;
    this.#last = joined.last;
    this.#validatedAt = -1;
    // Who asked for a stop may be the one that was lost: whoever still does asks again.
    this.#isStopping = false;
    this.#isRepeating = true;
    if (!joined.isSettled) {
      this.#reportIfDue();
      await this.#settle();
    }
    this.#isRepeating = false;
    return true;
  }

  async #trainToEnd(): Promise<void> {
    const { totalSteps, log } = this.#opened;
    await this.#agreeOnStopping();
    const { validationPending, startStep } = this.#opened;
    if (validationPending && this.#step === startStep) await this.#resumeValidation();
    while (this.#step < totalSteps && !this.#stopped) {
      const epoch = Math.floor(this.#step / this.#stepsPerEpoch) + 1;
      log.debug(`Start epoch ${epoch}`);
      await this.#trainEpoch(epoch);
    }
  }

  /** Replicas stop after the same step, which they agree on: no signal reaches all in the same moment. */
  async #agreeOnStopping(): Promise<void> {
    const { collectives } = this.#opened;
    const votes = Float32Array.of(this.#signal?.aborted ? 1 : 0);
    await collectives.allReduceSum(votes);
    this.#isStopping ||= votes[0] !== 0;
  }

  get #stopped(): boolean {
    return this.#isSingle ? (this.#signal?.aborted ?? false) : this.#isStopping;
  }

  get #isSingle(): boolean {
    return this.#opened.collectives.worldSize === 1;
  }

  get #globalBatch(): number {
    return this.#opened.options.batchSize * this.#opened.collectives.worldSize;
  }

  get #stepsPerEpoch(): number {
    return this.#opened.loader.batchesPerEpoch;
  }

  /** Steps done at the end of an epoch, from 1; the last one may end early. */
  #endOf(epoch: number): number {
    return Math.min(this.#opened.totalSteps, epoch * this.#stepsPerEpoch);
  }

  /** From 1: the epoch of the last step. */
  get #epoch(): number {
    return Math.max(1, Math.ceil(this.#step / this.#stepsPerEpoch));
  }

  async #trainEpoch(epoch: number): Promise<void> {
    const { loader, totalSteps, log } = this.#opened;
    const before = (epoch - 1) * this.#stepsPerEpoch;
    let end = performance.now();
    for await (const batch of loader.batches(epoch - 1, this.#step - before, this.#endOf(epoch) - before)) {
      const dataSeconds = (performance.now() - end) / 1000;
      const result = await this.#trainStep(batch);
      this.#pace.add({ dataSeconds, stepSeconds: (performance.now() - end) / 1000 });
      log.debug(`step ${this.#step}: loss ${result.loss}, waited ${dataSeconds.toFixed(3)}s for its data`);
      await this.#replicas?.exchange({ dataSeconds, stepSeconds: (performance.now() - end) / 1000 });
      this.#reportIfDue();
      await this.#agreeOnStopping();
      await this.#settle();
      if (this.#stopped) return;
      end = performance.now();
    }
    if (this.#step >= totalSteps)
      log.info(`Stopping training due to step ${this.#step} has reached max_steps ${totalSteps}`);
  }

  #reportIfDue(): void {
    const { options, totalSteps } = this.#opened;
    const isDue = this.#step % options.logInterval === 0 || this.#step === totalSteps;
    if (isDue && this.#last) this.#report(this.#last);
  }

  /** Everything that is due after a step but its report. Done again after a loss in the middle of it. */
  async #settle(): Promise<void> {
    await this.#afterStep();
    if (this.#isInterrupted) return;
    if (this.#step === this.#endOf(this.#epoch)) await this.#endEpoch(this.#epoch);
    this.#settledStep = this.#step;
  }

  async #trainStep({ images, inputIds, pairKeys }: Batch): Promise<TrainStepResult> {
    // Online steps are updates too: the offline run's dropout does not depend on them.
    const draw = this.#opened.online ? this.#step : undefined;
    const choices = { pairKeys, draw };
    const result = await this.#opened.step.run(images, inputIds, this.#learningRate(this.#step), choices);
    this.#step++;
    this.#last = result;
    return result;
  }

  #learningRate(step: number): number {
    const { options } = this.#opened;
    return options.skipScheduler ? options.lr : learningRateAt(this.#schedule, step);
  }

  #report(result: TrainStepResult): void {
    const { options, totalSteps, log } = this.#opened;
    const { dataSeconds, stepSeconds } = this.#pace.takeReport();
    const event: StepEvent = {
      kind: 'step',
      step: this.#step,
      totalSteps,
      epoch: this.#epoch,
      totalEpochs: this.#opened.totalEpochs,
      loss: result.loss,
      learningRate: this.#learningRate(this.#step - 1),
      logitScale: result.logitScale,
      ...(options.reportTrainingBatchAcc && {
        imageToTextAccuracy: result.imageToTextAccuracy,
        textToImageAccuracy: result.textToImageAccuracy,
      }),
      ...(result.lossScale && {
        lossScale: result.lossScale.scale,
        skippedSteps: result.lossScale.skippedSteps,
      }),
      dataSeconds,
      stepSeconds,
      pairsPerSecond: stepSeconds > 0 ? this.#globalBatch / stepSeconds : 0,
      etaSeconds: (totalSteps - this.#step) * this.#pace.secondsPerStep,
      ...this.#replicas?.takeReport(options.batchSize),
    };
    log.info(
      stepLine(event, {
        batchSize: this.#globalBatch,
        batchOfEpoch: this.#step - (this.#epoch - 1) * this.#stepsPerEpoch,
        stepsPerEpoch: this.#stepsPerEpoch,
      }),
    );
    this.#onEvent(event);
  }

  /**
   * Saves first: a validation that fails or is killed then costs no training. One with online steps comes before: what is
   * saved has them, as in the research code.
   */
  async #afterStep(): Promise<void> {
    const { saveStepFrequency, validStepInterval } = this.#opened.options;
    const isDue = validStepInterval !== null && this.#step % validStepInterval === 0;
    if (isDue && this.#opened.online) await this.#validate();
    if (this.#isInterrupted) return;
    if (saveStepFrequency > 0 && this.#step % saveStepFrequency === 0)
      await this.#save([stepCheckpoint(this.#epoch, this.#step)]);
    if (isDue) await this.#validate();
  }

  /** What was still to be done at the step that the run goes on from. */
  async #resumeValidation(): Promise<void> {
    await this.#afterStep();
    if (!this.#isInterrupted && this.#step === this.#endOf(this.#epoch)) await this.#endEpoch(this.#epoch);
  }

  async #endEpoch(epoch: number): Promise<void> {
    const { totalEpochs, options } = this.#opened;
    const { saveEpochFrequency, validEpochInterval } = options;
    const keep = epoch === totalEpochs || (saveEpochFrequency > 0 && epoch % saveEpochFrequency === 0);
    const isDue = validEpochInterval !== null && epoch % validEpochInterval === 0;
    if (isDue && this.#opened.online) await this.#validate();
    if (this.#isInterrupted) return;
    await this.#save(keep ? [epochCheckpoint(epoch)] : []);
    if (isDue) await this.#validate();
  }

  async #saveStopped(): Promise<void> {
    this.#opened.log.info(`Stopping training at step ${this.#step} as asked`);
    await this.#save([]);
  }

  async #save(names: readonly string[], validationPending = false): Promise<void> {
    const { checkpoints, step, log } = this.#opened;
    this.#savedAt = this.#step;
    if (!checkpoints) return;
    const position = {
      epoch: this.#epoch,
      step: this.#step,
      stepsPerEpoch: this.#stepsPerEpoch,
      learningRate: this.#learningRate(this.#step - 1),
      validationPending,
    };
    for (const event of await checkpoints.save(step, position, names)) {
      log.info(
        `Saved checkpoint ${event.path} (epoch ${event.epoch} @ ${event.step} steps) (writing took ${event.seconds.toFixed(3)} seconds)`,
      );
      this.#checkpoint = event.path;
      this.#onEvent(event);
    }
  }

  async #validate(): Promise<void> {
    const { validation, step, options, online, log } = this.#opened;
    if (!validation || this.#validatedAt === this.#step) return;
    // A loss among online steps ends the run: where it goes on they were done.
    if (online && this.#isRepeating) return;
    if (online) {
      // Online steps change the parameters: a run that ends before they are done goes on from before the first.
      await this.#save([], true);
      this.#isInterrupted = true;
    } else if (!this.#last) return;
    if (this.#stopped) return;
    const startedAt = performance.now();
    log.info(`Begin to eval on validation set (epoch ${this.#epoch} @ ${this.#step} steps)...`);
    const logitScale = this.#last?.logitScale ?? (await logitScaleOf(step));
    const result = await this.#measure(validation, logitScale).catch((error: unknown) => {
      // Asked to stop in the middle: the run ends by itself, this validation is left out.
      if (!this.#stopped) throw error;
    });
    if (!result) return;
    this.#isInterrupted = false;
    this.#validatedAt = this.#step;
    const event: ValidationEvent = {
      kind: 'validation',
      step: this.#step,
      epoch: this.#epoch,
      ...result.validation,
      seconds: (performance.now() - startedAt) / 1000,
    };
    for (const line of validationLines(event, result.logitScale, options.validBatchSize)) log.info(line);
    if (event.online) for (const line of onlineLines(event.online)) log.info(line);
    this.#onEvent(event);
  }

  async #measure(validation: ValidationSplit, logitScale: number) {
    const { step, options, online } = this.#opened;
    const signal = this.#signal;
    if (!online) {
      const { validBatchSize: batchSize, seed } = options;
      // One replica that broke off would leave the others waiting.
      const own = this.#isSingle ? signal : undefined;
      const { collectives } = this.#opened;
      const given = { batchSize, seed, logitScale, signal: own, collectives };
      return { validation: await validate(step, validation, this.#recall, given), logitScale };
    }
    const { logitScale: after, ...result } = await validateOnline(online, step, validation, this.#recall, {
      position: this.#step,
      learningRate: this.#learningRate(this.#step - 1),
      logitScale,
      signal,
      onStep: (event) => this.#onEvent(event),
    });
    return { validation: result, logitScale: after };
  }
}

async function logitScaleOf(step: TrainStep): Promise<number> {
  const { parameters } = await step.state();
  return Number(parameters.get('logit_scale')?.data[0]);
}
